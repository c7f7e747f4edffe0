"""Targets that are means over equal positions."""

import dataclasses
from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

from selfplay.replay.policies import largest_shares
from selfplay.replay.samples import Samples


def average_targets(
    own: Samples, copies: Iterable[tuple[Int[np.ndarray, " R"], Samples]], num_actions: int
) -> Samples:
    """Returns `own` with targets that are means over equal positions.

    Policies are averaged where they are targets, outcomes where they are known, values everywhere.
    What belongs to the rest of a match stays that of the position's own: the policy one ply later,
    the final state and how far the match had come.

    Args:
        own: `B` positions.
        copies: equal positions, some at a time: of which of the `B` rows, each at most once, and
            their samples. In all there is at least one for each row.
        num_actions: of the game.
    """
    size = len(own.outcomes)
    shares = np.zeros((size, num_actions), np.float32)
    policies, known, counts, outcomes, draws, values = np.zeros((6, size), np.float32)
    short_term = np.zeros_like(own.short_term_values)
    for rows, equal in copies:
        is_target = equal.policy_weights > 0
        sums = equal.policy_probabilities.sum(axis=1, keepdims=True)
        scale = is_target[:, None] / np.maximum(sums, np.float32(1e-30))
        # One action may stand several times: padding is action 0 with probability 0.
        np.add.at(shares, (rows[:, None], equal.policy_actions), scale * equal.policy_probabilities)
        policies[rows] += is_target
        known[rows] += equal.outcome_weights
        outcomes[rows] += equal.outcome_weights * equal.outcomes
        draws[rows] += equal.outcome_weights * equal.draws
        counts[rows] += 1
        values[rows] += equal.search_values
        short_term[rows] += equal.short_term_values
    actions, probabilities = largest_shares(shares, own.policy_actions.shape[1])
    there = policies > 0
    weight = np.float32(size / max(1, there.sum()))
    divisor = np.maximum(known, 1)
    return dataclasses.replace(
        own,
        policy_actions=actions,
        policy_probabilities=probabilities / np.maximum(policies, 1)[:, None],
        policy_weights=weight * there,
        outcomes=outcomes / divisor,
        draws=np.where(known > 0, draws / divisor, own.draws),
        outcome_weights=(known > 0).astype(np.float32),
        search_values=values / counts,
        short_term_values=short_term / counts[:, None],
    )
