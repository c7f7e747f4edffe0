"""Rows of batches on the host."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np


def flags_of(broken: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns one vector per law; symmetries are told apart by "law/index"."""
    flat = {}
    for law, flags in broken.items():
        if flags.ndim == 1:
            flat[law] = flags
        else:
            flat |= {f"{law}/{index}": flags[:, index] for index in range(flags.shape[1])}
    return flat


def facts_now(probe: Any) -> Any:
    """Returns what is seen where each match stands now: after the move, or as before."""
    played = np.asarray(probe.played)

    def pick(new: np.ndarray, old: np.ndarray) -> np.ndarray:
        return np.where(played.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(pick, probe.after, probe.before)


def random_action(mask: np.ndarray, draw: np.random.Generator) -> int:
    """Returns a random legal action, -1 if there is none."""
    legal = np.flatnonzero(mask)
    return int(draw.choice(legal)) if legal.size else -1


def state_bytes(states: Any, row: int) -> bytes:
    """Returns the contents of one state of a batch, to compare it with others."""
    return b"".join(np.asarray(leaf[row]).tobytes() for leaf in jax.tree.leaves(states))


def row_of(tree: Any, row: int) -> Any:
    """Returns one entry of a batch."""
    return jax.tree.map(lambda leaf: np.asarray(leaf[row]), tree)


def rows_of(tree: Any, rows: Sequence[int]) -> Any:
    """Returns some entries of a batch, as a batch."""
    index = np.asarray(rows)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)


def joined(trees: Sequence[Any]) -> Any:
    """Returns several batches as one."""
    combine: Callable[..., Any] = lambda *leaves: np.concatenate(leaves)  # noqa: E731
    return jax.tree.map(combine, *trees)
