"""What the learner gets: positions with their targets, on the host."""

import numpy as np
from jaxtyping import Float32, Int32, PyTree

from selfplay.game import pytree


@pytree
class Samples:
    """`B` positions to learn from, on the host; states have a leading axis `B`.

    Attributes:
        states: the positions.
        final_states: where their matches ended; None if the game declares no auxiliary targets.
        policy_actions: actions of the policy target, padded with action 0.
        policy_probabilities: their probabilities, padded with 0; not normalised.
        policy_weights: 0 where the policy is no training target; the others are equal, with a mean
            of 1 over what was sampled, so that the loss weighs policy and value alike however few
            targets there are.
        next_actions: actions of the policy target one ply later, padded with action 0.
        next_probabilities: their probabilities, padded with 0; not normalised.
        next_weights: likewise where there is a next ply with a target, else 0.
        outcomes: result of the match in [-1, 1], for the player to move.
        draws: how much of a draw it was, in [0, 1]: 1 less the outcome's distance from 0. Where the
            outcome is a mean over equal positions, it is the mean of these.
        outcome_weights: 1 where the searched moves led to the result, 0 where a random move
            followed.
        search_values: lambda-return of the search values in [-1, 1], for the player to move; see
            `ReplayConfig.value_lambda`.
        short_term_values: returns likewise over each of `SHORT_TERM_HORIZONS`.
        progress: how far the match had come, from 0 at its first ply to 1 at its last one.
    """

    states: PyTree
    final_states: PyTree
    policy_actions: Int32[np.ndarray, "B K"]
    policy_probabilities: Float32[np.ndarray, "B K"]
    policy_weights: Float32[np.ndarray, " B"]
    next_actions: Int32[np.ndarray, "B K"]
    next_probabilities: Float32[np.ndarray, "B K"]
    next_weights: Float32[np.ndarray, " B"]
    outcomes: Float32[np.ndarray, " B"]
    draws: Float32[np.ndarray, " B"]
    outcome_weights: Float32[np.ndarray, " B"]
    search_values: Float32[np.ndarray, " B"]
    short_term_values: Float32[np.ndarray, "B H"]
    progress: Float32[np.ndarray, " B"]
