"""The value that the searches of a match give each of its positions."""

import numpy as np
import numpy.typing as npt

from selfplay.records import MatchRecord


def search_values(match: MatchRecord, value_lambda: float) -> npt.NDArray[np.float32]:
    """Returns the lambda-return of each ply, in [-1, 1], for the player to move there.

    Backwards from the outcome, each is `(1 - lambda) * root value + lambda * return of the next
    ply`, with the sign changed where the other player moves next (Sutton and Barto, "Reinforcement
    Learning", 2018, section 12.1). At a random move it is the root value alone, because what
    follows says nothing about the position.
    """
    values = match.root_values.astype(np.float32)
    following = np.float32(match.returns[match.players[-1]])
    for ply in range(match.plies - 1, -1, -1):
        if ply + 1 < match.plies:
            sign = 1 if match.players[ply] == match.players[ply + 1] else -1
            following = sign * values[ply + 1]
        if not match.exploratory[ply]:
            values[ply] = (1 - value_lambda) * values[ply] + value_lambda * following
    return values


def outcome_known(match: MatchRecord) -> npt.NDArray[np.bool_]:
    """Returns for each ply whether no move from there on was random."""
    random_after = np.cumsum(match.exploratory[::-1])[::-1]
    return np.asarray(random_after == 0)
