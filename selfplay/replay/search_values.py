"""The value that the searches of a match give each of its positions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from selfplay.records import MatchRecord
from selfplay.settings.sections.learner import SHORT_TERM_HORIZONS

_SHORT_TERM_LAMBDAS = tuple(1 - 1 / horizon for horizon in SHORT_TERM_HORIZONS)


def search_values(matches: Sequence[MatchRecord], value_lambda: float) -> npt.NDArray[np.float32]:
    """Returns the lambda-return of each ply, in [-1, 1], for the player to move there.

    Backwards from the outcome, each is `(1 - lambda) * root value + lambda * return of the next
    ply`, with the sign changed where the other player moves next (Sutton and Barto, "Reinforcement
    Learning", 2018, section 12.1). At a random move it is the root value alone, because what
    follows says nothing about the position, and where the root value is proven, because nothing
    can be more accurate.

    Args:
        matches: at least one, none of them empty; their plies come match after match.
        value_lambda: in [0, 1].
    """
    return _returns(matches, (value_lambda,))[:, 0]


def short_term_values(matches: Sequence[MatchRecord]) -> Float32[np.ndarray, "T H"]:
    """Returns such returns of each ply for every one of `SHORT_TERM_HORIZONS`.

    The return over a horizon is an average of the root values of the next plies that weighs them
    the less the later they are ("Other methods implemented in KataGo", "Short-term value and score
    targets").
    """
    return _returns(matches, _SHORT_TERM_LAMBDAS)


def _returns(
    matches: Sequence[MatchRecord], lambdas: Sequence[float]
) -> Float32[np.ndarray, "T L"]:
    """Returns the lambda-returns of all plies; goes back through all matches side by side."""
    lengths = np.array([match.plies for match in matches])
    ends = lengths.cumsum() - 1
    roots = np.concatenate([match.root_values for match in matches]).astype(np.float32)
    players = np.concatenate([match.players for match in matches]).astype(np.int64)
    passed_back = ~np.concatenate([match.exploratory | match.proven for match in matches])
    results = np.array([match.returns for match in matches], np.float32)
    following = results[np.arange(len(matches)), players[ends]]
    signs = np.where(np.append(players[1:] == players[:-1], True), 1, -1).astype(np.float32)
    ahead = np.array(lambdas, np.float32)
    values = np.repeat(roots[:, None], len(lambdas), axis=1)

    def step_back(plies: npt.NDArray[Any], after: npt.NDArray[Any]) -> None:
        chosen = passed_back[plies]
        at = plies[chosen]
        values[at] = (1 - ahead) * values[at] + ahead * after[chosen]

    step_back(ends, following[:, None])
    # The longest first: those that have a ply at some distance from their end are the first ones.
    order = np.argsort(-lengths, kind="stable")
    ends = ends[order]
    longer = np.searchsorted(-lengths[order], -np.arange(lengths.max()), side="left")
    for distance in range(1, int(lengths.max())):
        plies = ends[: longer[distance]] - distance
        step_back(plies, signs[plies, None] * values[plies + 1])
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
