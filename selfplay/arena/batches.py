"""Positions on the host: any rows of a batch, cut into pieces of one fixed size.

The number of matches that wait for an agent changes at every ply. Compiled code must never see
that number, so rows are picked with NumPy and every compiled call gets the same shapes.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int, PyTree

from selfplay.game import Position


class Batch(NamedTuple):
    """Positions filled up with copies of the first one.

    Attributes:
        positions: exactly the asked number of them.
        meant: how many at the front are not such copies.
    """

    positions: Position[Any]
    meant: int


def take(positions: Position[Any], rows: Int[np.ndarray, " n"]) -> Position[Any]:
    """Returns the chosen rows of batched positions as NumPy arrays."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], positions)


def row_on_device(tree: PyTree, row: int) -> PyTree:
    """Returns one row of batched positions or states as JAX arrays.

    The methods of a game that run on the host, such as `render` and `solve`, may call its rules,
    which may be written for JAX arrays alone.
    """
    return jax.device_put(jax.tree.map(lambda leaf: np.asarray(leaf)[row], tree))


def stack(positions: Sequence[Position[Any]]) -> Position[Any]:
    """Returns single positions, at least one, as one batch of NumPy arrays."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *positions)


def fixed_batches(positions: Position[Any], batch_size: int) -> Iterator[Batch]:
    """Yields `n` positions in order, `batch_size` at a time, the last batch filled up."""
    count = int(np.shape(positions.ply)[0])
    for first in range(0, count, batch_size):
        rows = np.arange(first, first + batch_size)
        meant = min(batch_size, count - first)
        yield Batch(positions=take(positions, np.where(rows < count, rows, first)), meant=meant)
