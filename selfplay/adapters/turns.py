"""Applies symmetries to actions, legal actions and outcomes, inside compiled programs."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, UInt8

from selfplay.game import Symmetry


class Turns:
    """Permutations of a game's symmetries; number 0 changes nothing.

    They cost nothing in a game without symmetries.
    """

    def __init__(self, symmetries: Sequence[Symmetry[Any]], actions: int, outcomes: int) -> None:
        """Prepares the permutations, which must be some: `probe` has looked at them."""
        self._actions = actions
        self._none = not symmetries
        # Row s, column b: the action that symmetry s maps to b.
        self._origins = _inverses([one.permutation for one in symmetries], actions)
        self._rolled = any(one.outcome_permutation is not None for one in symmetries)
        self._outcomes = _inverses(
            [one.outcome_permutation or range(outcomes) for one in symmetries], outcomes
        )

    def back(self, view: UInt8[Array, ""], action: Int32[Array, ""]) -> Int32[Array, ""]:
        """Returns the action that was played, of one in a turned position."""
        if self._none:
            return action
        return jnp.asarray(self._origins)[view, jnp.clip(action, 0, self._actions - 1)]

    def mask(self, view: UInt8[Array, ""], legal: UInt8[Array, " K"]) -> UInt8[Array, " K"]:
        """Returns the legal actions of a turned position, as bits."""
        if self._none:
            return legal
        bits = jnp.unpackbits(legal, count=self._actions)
        return jnp.packbits(bits[jnp.asarray(self._origins)[view]])

    def outcome_back(self, view: UInt8[Array, ""], outcome: Int32[Array, ""]) -> Int32[Array, ""]:
        """Returns the outcome that was drawn, of one in a turned afterstate."""
        if not self._rolled:
            return outcome
        last = self._outcomes.shape[1] - 1
        return jnp.asarray(self._outcomes)[view, jnp.clip(outcome, 0, last)]

    def chances(self, view: UInt8[Array, ""], likely: Float32[Array, " C"]) -> Float32[Array, " C"]:
        """Returns the probabilities of a turned afterstate."""
        return likely[jnp.asarray(self._outcomes)[view]] if self._rolled else likely


def _inverses(permutations: Sequence[Sequence[int]], size: int) -> np.ndarray:
    found = np.tile(np.arange(size, dtype=np.int32), (len(permutations) + 1, 1))
    for row, permutation in enumerate(permutations, 1):
        found[row, np.asarray(permutation, np.int64)] = np.arange(size)
    return found
