"""The end of a simulation: the position that it reaches, evaluated."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Key, PyTree

from selfplay.game import Game, Transition, pytree
from selfplay.mcts.evaluation import Evaluator
from selfplay.mcts.selection import mask_logits


@pytree
class Leaves:
    """`B` positions as a tree stores them.

    Attributes:
        prior_logits: masked, see `mask_logits`; where the match is over no action is legal.
        value: in [-1, 1], for the player to move; 0 where the match is over: its result is the
            reward on the way there.
    """

    prior_logits: Float32[Array, "B A"]
    value: Float32[Array, " B"]


def evaluate_leaves(
    game: Game[Any],
    evaluate: Evaluator,
    params: PyTree,
    transitions: Transition,
    *,
    key: Key[Array, ""],
) -> Leaves:
    """Returns the evaluation of the positions that `B` transitions lead to.

    Args:
        game: the rules.
        evaluate: evaluates positions.
        params: handed to `evaluate`.
        transitions: of the last move of each simulation.
        key: consumed.
    """
    after = transitions.position
    evaluation = evaluate(params, after.state, key=key)
    over = transitions.over
    legal = jax.vmap(game.legal_action_mask)(after.state) & ~over[:, None]
    return Leaves(
        # `mctx` masks the root alone.
        prior_logits=mask_logits(evaluation.policy_logits.astype(jnp.float32), legal),
        value=jnp.where(over, 0.0, evaluation.value),
    )
