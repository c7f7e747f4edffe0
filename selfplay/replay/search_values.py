"""The value that the searches of a match give each of its positions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from selfplay.records import MatchRecord
from selfplay.settings.sections.learner import SHORT_TERM_HORIZONS

_SHORT_TERM_LAMBDAS = tuple(1 - 1 / horizon for horizon in SHORT_TERM_HORIZONS)


def search_values(match: MatchRecord, value_lambda: float) -> npt.NDArray[np.float32]:
    """Returns the lambda-return of each ply, in [-1, 1], for the player to move there.

    Backwards from the outcome, each is `(1 - lambda) * root value + lambda * return of the next
    ply`, with the sign changed where the other player moves next (Sutton and Barto, "Reinforcement
    Learning", 2018, section 12.1). At a random move it is the root value alone, because what
    follows says nothing about the position, and where the root value is proven, because nothing
    can be more accurate.
    """
    return _returns(match, (value_lambda,))[:, 0]


def short_term_values(match: MatchRecord) -> Float32[np.ndarray, "T H"]:
    """Returns such returns of each ply for every one of `SHORT_TERM_HORIZONS`.

    The return over a horizon is an average of the root values of the next plies that weighs them
    the less the later they are ("Other methods implemented in KataGo", "Short-term value and score
    targets").
    """
    return _returns(match, _SHORT_TERM_LAMBDAS)


def _returns(match: MatchRecord, lambdas: Sequence[float]) -> Float32[np.ndarray, "T L"]:
    roots = match.root_values.astype(np.float32)
    values = np.repeat(roots[:, None], len(lambdas), axis=1)
    ahead = np.array(lambdas, np.float32)
    same = match.players[:-1] == match.players[1:]
    signs = [*np.where(same, 1, -1).tolist(), 1]
    following: Any = np.float32(match.returns[match.players[-1]])
    for ply in range(match.plies - 1, -1, -1):
        if ply + 1 < match.plies:
            following = signs[ply] * values[ply + 1]
        if not match.exploratory[ply] and not match.proven[ply]:
            values[ply] = (1 - ahead) * values[ply] + ahead * following
    return values


def outcomes(match: MatchRecord) -> npt.NDArray[np.float32]:
    """Returns the result of the match for the player to move at each ply, in [-1, 1].

    Where the root value is proven, it is that: what the match should have ended with from there.
    """
    played = np.array(match.returns, np.float32)[match.players.astype(np.int64)]
    return np.where(match.proven, match.root_values, played).astype(np.float32)


def outcome_known(match: MatchRecord) -> npt.NDArray[np.bool_]:
    """Returns for each ply whether no move from there on was random."""
    random_after = np.cumsum(match.exploratory[::-1])[::-1]
    return np.asarray(random_after == 0)
