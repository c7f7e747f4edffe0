"""How well a network predicts positions, each by itself. Pure."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32

from selfplay.game import Game, pytree
from selfplay.learner.targets import dense_policies
from selfplay.networks import Network, Weights

_FLOOR = -1e9


@pytree
class Scores:
    """A network's predictions of `B` positions beside the targets, without symmetries.

    Attributes:
        cross_entropy: of the network's policy over the legal actions, with the searched policy as
            the target, in nats.
        search_entropy: of the searched policy, in nats: the lowest possible cross-entropy.
        entropy: of the network's policy, in nats.
        uniform: that of a uniform policy, which is the logarithm of the number of legal actions.
        rank: how many legal actions the network holds for likelier than the best by the searched
            policy; 0 where both have the same first choice.
        tied: how many it holds for exactly as likely as that one, itself included, at least 1.
        tied_best: how many of those share the first place in the searched policy, at least 1.
        value: the expected result in [-1, 1], for the player to move.
    """

    cross_entropy: Float32[Array, " B"]
    search_entropy: Float32[Array, " B"]
    entropy: Float32[Array, " B"]
    uniform: Float32[Array, " B"]
    rank: Int32[Array, " B"]
    tied: Int32[Array, " B"]
    tied_best: Int32[Array, " B"]
    value: Float32[Array, " B"]


def score_positions(game: Game[Any], network: Network, weights: Weights, samples: Any) -> Scores:
    """Returns what a network says of positions, beside what the search said of them.

    Args:
        game: the rules.
        network: the network.
        weights: of that network.
        samples: `selfplay.replay.Samples` of `B` positions.
    """
    legal = jax.vmap(game.legal_action_mask)(samples.states)
    observations = jax.vmap(game.observe)(samples.states).astype(jnp.float32)
    prediction = network.apply(weights, observations)
    target = dense_policies(samples.policy_actions, samples.policy_probabilities, game.num_actions)
    logits = jnp.where(legal, prediction.policy_logits, _FLOOR)
    log_policy = jax.nn.log_softmax(logits)
    first = legal & (target == target.max(axis=-1, keepdims=True))
    best = jnp.where(first, logits, _FLOOR).max(axis=-1, keepdims=True)
    tied = legal & (logits == best)
    return Scores(
        cross_entropy=-(target * log_policy).sum(axis=-1),
        search_entropy=_entropy(target),
        entropy=_entropy(jnp.exp(log_policy)),
        uniform=jnp.log(legal.sum(axis=-1).astype(jnp.float32)),
        rank=(logits > best).sum(axis=-1).astype(jnp.int32),
        tied=tied.sum(axis=-1).astype(jnp.int32),
        tied_best=(tied & first).sum(axis=-1).astype(jnp.int32),
        value=prediction.value.astype(jnp.float32),
    )


def _entropy(policy: Float32[Array, "B A"]) -> Float32[Array, " B"]:
    return -(policy * jnp.log(jnp.maximum(policy, 1e-30))).sum(axis=-1)
