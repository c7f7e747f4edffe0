"""The keys of everything random in a run."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Key


class RunKeys(NamedTuple):
    """The random keys of a run, made from its seed.

    Attributes:
        init: for the first weights.
        start: for the starts of the trainer's own matches.
        play: for the moves of the trainer's own matches.
        update: for the symmetries of training samples.
        reanalysis: for the searches of earlier positions.
    """

    init: Key[Array, ""]
    start: Key[Array, ""]
    play: Key[Array, ""]
    update: Key[Array, ""]
    reanalysis: Key[Array, ""]


def run_keys(seed: int) -> RunKeys:
    """Returns the keys of a run."""
    key = jax.random.key(seed)
    init, start, play, update = jax.random.split(key, 4)
    reanalysis = jax.random.fold_in(key, _REANALYSIS)
    return RunKeys(init, start, play, update, reanalysis)


# Not a fifth key of the split: that would change the other four.
_REANALYSIS = 1 << 30
