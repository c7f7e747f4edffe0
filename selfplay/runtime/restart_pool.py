"""Positions of finished matches from which new ones may go on."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from selfplay.game import Game
from selfplay.records import MatchRecord
from selfplay.rollout import Restarts, no_restarts
from selfplay.rollout.starts import POSITIONS
from selfplay.settings.sections import RolloutConfig

_LEAST_REGRET = 0.5
"""Of a position to go on from: points of value, or nats of surprise."""


class RestartPool:
    """Keeps, of the newest matches, the position that each would best be played again from.

    It is where the search's value changed most from one ply to the next, or where its policy was
    farthest from the network's: there the network, or the search, was wrong. The player to move
    there decides in which half of the pool it lies.
    """

    def __init__(self, game: Game[Any], config: RolloutConfig) -> None:
        """Starts without positions."""
        self.config = config
        self._held: dict[str, npt.NDArray[Any]] = {
            name: np.array(leaf) for name, leaf in vars(no_restarts(game)).items()
        }
        self._longest = self._held["actions"].shape[-1]
        self._made: npt.NDArray[np.int64] = np.zeros(2, np.int64)

    def add(self, matches: Sequence[MatchRecord]) -> None:
        """Takes in finished matches, in place of the oldest positions."""
        for match in matches if self.config.restart_share else ():
            ply = turning_point(match, self._longest)
            if ply:
                self._put(match, ply)

    def _put(self, match: MatchRecord, ply: int) -> None:
        player = int(match.players[ply])
        place = int(self._made[player] % POSITIONS)
        held = self._held
        held["start_keys"][player, place] = match.start_key
        held["actions"][player, place, :ply] = match.actions[:ply]
        held["outcomes"][player, place, :ply] = match.outcomes[:ply]
        held["lengths"][player, place] = ply
        self._made[player] += 1
        held["counts"][player] = min(self._made[player], POSITIONS)

    @property
    def restarts(self) -> Restarts | None:
        """The positions, for self-play; None if it is switched off."""
        if not self.config.restart_share:
            return None
        # Copied: the devices may still read them when the next matches come.
        return Restarts(**{name: jax.numpy.array(leaf) for name, leaf in self._held.items()})

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Returns everything that changes, for a checkpoint; nothing if it is switched off."""
        if not self.config.restart_share:
            return {}
        return {name: leaf.copy() for name, leaf in (*self._held.items(), ("made", self._made))}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._made = np.array(state["made"])
        self._held = {name: np.array(state[name]) for name in self._held}


def turning_point(match: MatchRecord, longest: int) -> int:
    """Returns the ply, at most `longest`, from which a match is best played again; 0 for none.

    Moves that were not the search's own, and fast ones, say nothing of it. After a chance outcome
    the value may jump though nobody was wrong, so there only the surprise counts.
    """
    values, players = match.root_values.astype(np.float64), match.players
    signs = np.where(players[1:] == players[:-1], 1, -1)
    following = np.append(signs * values[1:], match.returns[players[-1]])
    jumps = np.where(match.outcomes >= 0, 0.0, np.abs(values - following))
    regrets = np.nan_to_num(np.maximum(jumps, match.surprises))
    regrets[match.exploratory | match.fast] = 0
    regrets[0] = 0
    regrets = regrets[: longest + 1]
    best = int(regrets.argmax())
    return best if regrets[best] >= _LEAST_REGRET else 0
