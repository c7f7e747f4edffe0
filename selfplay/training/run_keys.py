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
    """

    init: Key[Array, ""]
    start: Key[Array, ""]
    play: Key[Array, ""]
    update: Key[Array, ""]


def run_keys(seed: int) -> RunKeys:
    """Returns the keys of a run."""
    return RunKeys(*jax.random.split(jax.random.key(seed), 4))
