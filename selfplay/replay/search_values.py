"""The value that the searches of a match give each of its positions."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from selfplay.records import MatchRecord
from selfplay.settings.sections.learner import SHORT_TERM_HORIZONS

SHORT_TERM_LAMBDAS = tuple(1 - 1 / horizon for horizon in SHORT_TERM_HORIZONS)
"""Whose returns are averages of the root values of the next plies, over each of the horizons.

They weigh them the less the later they are ("Other methods implemented in KataGo", "Short-term
value and score targets").
"""


def lambda_returns(
    matches: Sequence[MatchRecord], lambdas: Sequence[float]
) -> Float32[np.ndarray, "T L"]:
    """Returns the lambda-return of each ply for each lambda, in [-1, 1], for the player to move.

    Backwards from the outcome, each is `(1 - lambda) * root value + lambda * return of the next
    ply`, with the sign changed where the other player moves next (Sutton and Barto, "Reinforcement
    Learning", 2018, section 12.1). At a random move it is the root value alone, because what
    follows says nothing about the position, and where the root value is proven, because nothing
    can be more accurate.

    Args:
        matches: at least one, none of them empty; their plies come match after match.
        lambdas: in [0, 1].
    """
    lengths = np.array([match.plies for match in matches])
    ends = lengths.cumsum() - 1
    roots = np.concatenate([match.root_values for match in matches]).astype(np.float32)
    players = np.concatenate([match.players for match in matches]).astype(np.int64)
    passed_back = ~np.concatenate([match.exploratory | match.proven for match in matches])
    results = np.array([match.returns for match in matches], np.float32)
    signs = np.where(np.append(players[1:] == players[:-1], True), 1, -1).astype(np.float32)
    signs[ends] = 1
    ahead = passed_back[:, None] * np.array(lambdas, np.float32)
    # In this order all plies at the same distance from the end of their match come one after the
    # other, the longest match first: so they continue the first ones of those after them.
    order = np.argsort(-lengths, kind="stable")
    counts = np.searchsorted(-lengths[order], -np.arange(lengths.max()), side="left")
    starts = np.append(0, counts.cumsum())
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    distances = np.repeat(ends, lengths) - np.arange(len(roots))
    places = starts[distances] + np.repeat(rank, lengths)
    values, factors = np.empty_like(ahead), np.empty_like(ahead)
    values[places] = (1 - ahead) * roots[:, None]
    factors[places] = ahead * signs[:, None]
    after = results[np.arange(len(matches)), players[ends]][order, None]
    for start, count in zip(starts.tolist(), counts.tolist(), strict=False):
        row = values[start : start + count]
        row += factors[start : start + count] * after[:count]
        after = row
    return values[places]


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
