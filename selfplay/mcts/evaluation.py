"""Evaluators: what a search asks for the policy and the value of positions.

An evaluator is any callable with the signature of `Evaluator`. The search knows nothing else of
the network, so a network that runs outside XLA, through a host callback, can take its place.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Key, PyTree

from selfplay.game import (
    Game,
    Position,
    is_over,
    pytree,
    random_ply,
)


@pytree
class Evaluation:
    """Policy and value of `B` positions, without a search.

    Attributes:
        policy_logits: unnormalised log-probabilities of the actions. Illegal actions may have any
            finite value: the search masks them.
        value: expected result in [-1, 1], for the player to move.

    >>> import jax.numpy as jnp
    >>> Evaluation(policy_logits=jnp.zeros((2, 9)), value=jnp.zeros(2)).value.shape
    (2,)
    """

    policy_logits: Float32[Array, "B A"]
    value: Float32[Array, " B"]


@runtime_checkable
class Evaluator(Protocol):
    """Evaluates a batch of game states. Terminal states may be among them; nobody reads theirs."""

    def __call__(self, params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        """Returns the evaluation of `B` states.

        Args:
            params: whatever the evaluator needs, such as weights.
            states: of the game, leaves [B, ...].
            key: consumed.
        """


@runtime_checkable
class AppliesNetwork(Protocol):
    """The part of `selfplay.networks.Network` that `network_evaluator` needs."""

    def apply(self, weights: PyTree, observations: Array) -> Any:
        """Returns an object with `policy_logits` [B, A] and `value` [B]."""


def network_evaluator(game: Game[Any], network: AppliesNetwork) -> Evaluator:
    """Returns the evaluator that applies `network`; its params are the network's weights.

    >>> import jax, selfplay
    >>> game = selfplay.make("tic_tac_toe")
    >>> config = selfplay.NetworkConfig(kind="mlp", blocks=1, channels=8)
    >>> network = selfplay.build_network(game, config)
    >>> weights = network.init(key=jax.random.key(0))
    >>> states = jax.vmap(game.init)(jax.random.split(jax.random.key(1), 2))
    >>> network_evaluator(game, network)(weights, states, key=jax.random.key(2)).value.shape
    (2,)
    """

    def evaluate(params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        del key
        prediction = network.apply(params, jax.vmap(game.observe)(states))
        return Evaluation(policy_logits=prediction.policy_logits, value=prediction.value)

    return evaluate


def uniform_evaluator(game: Game[Any]) -> Evaluator:
    """Returns the evaluator without knowledge: equal logits for all actions, value 0."""

    def evaluate(params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        del params, key
        batch = jax.tree.leaves(states)[0].shape[0]
        return Evaluation(
            policy_logits=jnp.zeros((batch, game.num_actions), jnp.float32),
            value=jnp.zeros(batch, jnp.float32),
        )

    return evaluate


def random_playout_evaluator(game: Game[Any]) -> Evaluator:
    """Returns the evaluator of plain Monte Carlo tree search: one random playout per position.

    All actions have equal logits. The value is the result, in [-1, 1] for the player to move, of
    one match of uniformly random legal moves, which is the default policy of Browne et al., "A
    survey of Monte Carlo tree search methods", 2012, section 3.1. A playout that reaches
    `max_plies` plies ends there and is scored by `returns`.
    """

    def play_out(state: PyTree, key: Key[Array, ""]) -> Float32[Array, ""]:
        mover = game.current_player(state)

        def continues(carry: tuple[Position[Any], Key[Array, ""]]) -> Array:
            return ~is_over(game, carry[0])

        def play(
            carry: tuple[Position[Any], Key[Array, ""]],
        ) -> tuple[Position[Any], Key[Array, ""]]:
            position, key = carry
            key, move_key = jax.random.split(key)
            return random_ply(game, position, key=move_key).position, key

        begin: tuple[Position[Any], Key[Array, ""]] = (
            Position(state=state, ply=jnp.int32(0)),
            key,
        )
        final, _ = jax.lax.while_loop(continues, play, begin)
        return game.returns(final.state)[mover].astype(jnp.float32)

    def evaluate(params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        uniform = uniform_evaluator(game)(params, states, key=key)
        keys = jax.random.split(key, uniform.value.shape[0])
        return Evaluation(
            policy_logits=uniform.policy_logits, value=jax.vmap(play_out)(states, keys)
        )

    return evaluate
