"""Evaluation of positions under the game's symmetries."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from selfplay.game import Game
from selfplay.mcts.evaluation import Evaluation, Evaluator
from selfplay.mcts.selection import mask_logits


def symmetric_evaluator(game: Game[Any], evaluate: Evaluator, symmetry: str) -> Evaluator:
    """Returns an evaluator that applies `evaluate` to images of positions under symmetries.

    A trained network evaluates a position and its image a little differently. Silver et al.,
    "Mastering the game of Go without human knowledge", 2017, Methods, "Search algorithm", evaluate
    a random image of every leaf.

    Args:
        game: the rules, which declare the symmetries; with none, `evaluate` is returned.
        evaluate: evaluates positions.
        symmetry: "none" for `evaluate` as it is; "random" for one image of each position, drawn
            evenly; "average" for the mean value and the mean policy over all of them, which
            costs as many evaluations as there are images.
    """
    symmetries = game.symmetries()
    if symmetry == "none" or not symmetries:
        return evaluate
    maps = [lambda state: state, *(one.map_state for one in symmetries)]
    # Row s, column a: the action that symmetry s makes of a.
    images = jnp.array(
        [range(game.num_actions), *(tuple(one.permutation) for one in symmetries)], jnp.int32
    )

    def evaluate_random(params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        which_key, key = jax.random.split(key)
        batch = jax.tree.leaves(states)[0].shape[0]
        which = jax.random.randint(which_key, (batch,), 0, len(maps))
        turned = jax.vmap(lambda index, state: jax.lax.switch(index, maps, state))(which, states)
        found = evaluate(params, turned, key=key)
        logits = jnp.take_along_axis(found.policy_logits, images[which], axis=1)
        return Evaluation(policy_logits=logits, value=found.value)

    def evaluate_average(params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        turned = [jax.vmap(turn)(states) for turn in maps]
        together = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *turned)
        found = evaluate(params, together, key=key)
        logits = found.policy_logits.reshape(len(maps), -1, game.num_actions)
        back = jnp.take_along_axis(logits, images[:, None, :], axis=2)
        legal = jax.vmap(game.legal_action_mask)(states)
        each = jax.vmap(lambda some: jax.nn.log_softmax(mask_logits(some, legal)))(back)
        return Evaluation(
            policy_logits=jax.nn.logsumexp(each, axis=0) - jnp.log(len(maps)),
            value=found.value.reshape(len(maps), -1).mean(axis=0),
        )

    return evaluate_random if symmetry == "random" else evaluate_average
