"""Simulations of many searches side by side, in a smaller batch once half of them have ended.

A compiled program has fixed shapes, so a search that has ended is computed along with the others.
Once half of a batch has ended, the rest goes on in a batch of half the size.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, Key, PyTree

_FEWEST_ROWS = 32
"""In a smaller batch a simulation costs hardly less, and it would be compiled all the same."""
_SIZES = 2
"""Of batches. Each is compiled: a third one takes as long as the second, and saves less."""

Waits = Callable[[PyTree, Int32[Array, ""]], Bool[Array, " B"]]
"""Takes the rows and the number of the next simulation; returns which rows need it no more. A row
that waits once must wait ever after."""

Simulate = Callable[[PyTree, Bool[Array, " B"], Int32[Array, ""], Key[Array, ""]], PyTree]
"""Takes the rows, which of them wait, the number of the simulation and a key; returns the rows."""


def batch_sizes(batch: int) -> list[int]:
    """Returns the sizes of the batches in which `batch` searches are made, the largest first."""
    sizes = [batch]
    while len(sizes) < _SIZES and sizes[-1] >= 2 * _FEWEST_ROWS:
        sizes.append(sizes[-1] // 2)
    return sizes


def simulate_while_any(
    rows: PyTree, simulate: Simulate, waits: Waits | None, *, most: int, key: Key[Array, ""]
) -> PyTree:
    """Returns the rows after their simulations: until all of them wait, or after the last one.

    Args:
        rows: of any shapes [B, ...]; `B` is the same everywhere.
        simulate: makes one simulation in each row that does not wait, and in each that waits
            nothing that counts.
        waits: says which rows need no more; None if all need as many as there are.
        most: simulations at most.
        key: consumed.
    """
    batch = jax.tree.leaves(rows)[0].shape[0]
    if waits is None:
        none = jnp.zeros(batch, jnp.bool_)
        return _in_batches(
            rows, simulate, lambda rows, number: none, most, jnp.int32(0), key, [batch]
        )
    return _in_batches(rows, simulate, waits, most, jnp.int32(0), key, batch_sizes(batch))


def _in_batches(
    rows: PyTree,
    simulate: Simulate,
    waits: Waits,
    most: int,
    number: Int32[Array, ""],
    key: Key[Array, ""],
    sizes: list[int],
) -> PyTree:
    smaller = sizes[1] if len(sizes) > 1 else 0

    def goes_on(carry: tuple[PyTree, Array, Array]) -> Array:
        rows, number, _ = carry
        return (number < most) & ((~waits(rows, number)).sum() > smaller)

    def one(carry: tuple[PyTree, Array, Array]) -> tuple[PyTree, Array, Array]:
        rows, number, key = carry
        key, now_key = jax.random.split(key)
        rows = simulate(rows, waits(rows, number), number, now_key)
        return rows, number + 1, key

    rows, number, key = jax.lax.while_loop(goes_on, one, (rows, number, key))
    if not smaller:
        return rows

    def rest(rows: PyTree) -> PyTree:
        # Those that go on come first, each at its place among them.
        which = jnp.argsort(waits(rows, number), stable=True)[:smaller]
        part: Any = jax.tree.map(lambda leaf: leaf[which], rows)
        part = _in_batches(part, simulate, waits, most, number, key, sizes[1:])
        return jax.tree.map(lambda leaf, new: leaf.at[which].set(new), rows, part)

    # Nothing is copied where all end together.
    going = (number < most) & (~waits(rows, number)).any()
    return jax.lax.cond(going, rest, lambda rows: rows, rows)
