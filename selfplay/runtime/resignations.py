"""Chooses from matches that were played out at which value players resign in the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.records import MatchRecord
from selfplay.rollout import NEVER, may_resign
from selfplay.settings.sections import RolloutConfig

THRESHOLDS: npt.NDArray[np.float32] = np.linspace(-0.99, -0.5, 50, dtype=np.float32)
"""At or below one of these values players resign; what is chosen is one of them."""

_MATCHES = 200
_KEPT, _RIGHT, _FALSE, _UNFIT = 0, 1, 2, 3
"""What a threshold would have done in a match: nobody resigns; the loser does; a player does who
did not lose. The last one is of a match with another result than win, draw and loss."""


class Resignations:
    """Measures false resignations on the newest matches that were played out.

    A match is falsely resigned if the player who would have given up did not lose. The threshold is
    the highest at which their share stays within `rollout.max_false_resigns`, counting one more
    false one than there were: until about 20 matches would have been resigned, all of them
    rightly, nobody resigns. Nobody does either in a game that gives other results than win, draw
    and loss, because what a player gives up is not known there.
    """

    def __init__(self, config: RolloutConfig) -> None:
        """Starts without matches."""
        self.config = config
        self._verdicts: npt.NDArray[np.int8] = np.zeros((0, len(THRESHOLDS)), np.int8)

    def add(self, matches: Sequence[MatchRecord]) -> None:
        """Takes in finished matches; those that were not to be played out are ignored."""
        if not self.config.resign_share or not matches:
            return
        keys = np.array([match.start_key for match in matches], np.uint32)
        allowed = may_resign(keys, self.config.resign_share)
        new = [verdicts(match) for match, one in zip(matches, allowed, strict=True) if not one]
        if new:
            self._verdicts = np.concatenate([self._verdicts, np.stack(new)])[-_MATCHES:]

    @property
    def threshold(self) -> float | None:
        """Value at or below which players resign, `NEVER` for none; None if it is switched off."""
        if not self.config.resign_share:
            return None
        chosen = self._chosen()
        return NEVER if chosen is None else float(THRESHOLDS[chosen])

    @property
    def false_rate(self) -> float | None:
        """Share of resignations at the threshold that are false; None while nobody resigns."""
        chosen = self._chosen() if self.config.resign_share else None
        if chosen is None:
            return None
        column = self._verdicts[:, chosen]
        return float((column == _FALSE).sum() / (column != _KEPT).sum())

    def _chosen(self) -> int | None:
        if (self._verdicts == _UNFIT).any():
            return None
        false = (self._verdicts == _FALSE).sum(axis=0)
        resigned = (self._verdicts != _KEPT).sum(axis=0)
        fit = np.flatnonzero((false + 1) / (resigned + 1) <= self.config.max_false_resigns)
        return int(fit[-1]) if len(fit) else None

    def metrics(self) -> dict[str, Any]:
        """Returns the metrics of resignation; None where not known."""
        threshold = self.threshold
        return {
            "resign_threshold": None if threshold in (None, NEVER) else threshold,
            "false_resign_rate": self.false_rate,
        }

    def state(self) -> npt.NDArray[np.int8]:
        """Returns everything that changes, for a checkpoint."""
        return self._verdicts

    def restore(self, state: Any) -> None:
        """Goes on from what `state` returned."""
        self._verdicts = np.asarray(state, np.int8)


def verdicts(match: MatchRecord) -> npt.NDArray[np.int8]:
    """Returns for each of `THRESHOLDS` what it would have done in a match that was played out."""
    if not set(match.returns) <= {-1.0, 0.0, 1.0}:
        return np.full(len(THRESHOLDS), _UNFIT, np.int8)
    # Nobody resigns because of a random move, nor after the last one.
    asked = ~match.exploratory
    asked[-1] = False
    below = asked & (match.root_values <= THRESHOLDS[:, None])
    players = match.players[below.argmax(axis=1)]
    lost = np.array(match.returns)[players] < 0
    return np.where(below.any(axis=1), np.where(lost, _RIGHT, _FALSE), _KEPT).astype(np.int8)
