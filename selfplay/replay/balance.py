"""Weights that give groups of positions an equal share of the samples, however many they are."""

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Int8

from selfplay.records import MatchRecord

PHASES = 3
"""Parts of a match, equally long: opening, middle, end."""


def groups(match: MatchRecord, balanced: tuple[str, ...]) -> Int8[np.ndarray, " T"]:
    """Returns the group of each ply, from 0: equal groups, equal results, players and phases.

    Args:
        match: its results may be fractions; only their signs count.
        balanced: as in `ReplayConfig`. "result": whether player 0 won, lost or neither; "player":
            who is to move; "phase": which third of the match it is.
    """
    found = np.zeros(match.plies, np.int8)
    if "result" in balanced:
        found += np.int8(1 + np.sign(match.returns[0]))
    if "player" in balanced:
        found = 2 * found + match.players.astype(np.int8)
    if "phase" in balanced:
        found = PHASES * found + (np.arange(match.plies) * PHASES // match.plies).astype(np.int8)
    return found.astype(np.int8)


def balancing_weights(
    found: Int8[np.ndarray, " n"], weights: npt.NDArray[np.float32] | None = None
) -> Float32[np.ndarray, " n"]:
    """Returns weights with equal sums for all groups that are there, and a mean of 1.

    Args:
        found: the group of each position.
        weights: what the positions of a group weigh relative to each other, at least 0; by default
            the same.
    """
    own = np.ones(len(found), np.float32) if weights is None else weights
    sums = np.bincount(found, own)
    there = sums > 0
    share = len(found) / max(1, there.sum())
    factors = np.divide(share, sums, out=np.zeros_like(sums), where=there)
    return (own * factors[found]).astype(np.float32)
