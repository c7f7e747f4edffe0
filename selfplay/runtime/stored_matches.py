"""Matches in progress, read from a checkpoint."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from selfplay.checkpoints import Checkpoints
from selfplay.rollout import Matches, Repeated

_ALWAYS = ("positions", "start_keys", "random_plies")


def load_matches(
    checkpoints: Checkpoints, update: int, stored: Mapping[str, Any], current: Matches
) -> Matches:
    """Returns `current` with its first matches replaced by those of a checkpoint.

    If `rollout.restart_share` was switched on or off since, they repeat no moves any more.

    Args:
        checkpoints: of the run.
        update: which one.
        stored: what it says of self-play.
        current: of as many matches as are played now.
    """
    before = int(stored["num_matches"])
    like: dict[str, PyTree] = {
        name: jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((before, *leaf.shape[1:]), leaf.dtype),
            getattr(current, name),
        )
        for name in _ALWAYS
    }
    if "restart_pool" in stored:
        width = stored["restart_pool"]["actions"].shape[-1]
        moves = jax.ShapeDtypeStruct((before, width), jnp.int32)
        lengths = jax.ShapeDtypeStruct((before,), jnp.int32)
        like["repeated"] = {"actions": moves, "outcomes": moves, "lengths": lengths}
    found = checkpoints.load(update, "matches", like)
    repeated = found.pop("repeated", None)
    if current.repeated is None:
        repeated = None
    elif repeated is None:
        repeated = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[:before]), current.repeated)
    else:
        repeated = Repeated(**repeated)
    return _first_of(Matches(**found, repeated=repeated), current)


def _first_of(old: PyTree, new: PyTree) -> PyTree:
    """Returns `new` with its first rows replaced by those of `old`, laid out as `new` is."""

    def replaced(old: Any, new: Any) -> Any:
        rows = old[: len(new)]
        if len(old) < len(new):
            # Not of NumPy, which has no keys: a state may hold some.
            rows = jnp.concatenate([rows, jax.device_get(new[len(old) :])])
        return jax.device_put(rows, new.sharding)

    return jax.tree.map(replaced, old, new)
