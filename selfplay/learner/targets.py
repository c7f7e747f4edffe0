"""The training targets of one batch. Pure."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree

from selfplay.game import Game, pytree
from selfplay.settings.sections.learner import LearnerConfig


@pytree
class Targets:
    """What the network is to predict for `B` positions, each under a random symmetry.

    Attributes:
        observations: of the player to move.
        legal: True where an action is legal.
        policy: the policy of the search; each row sums to 1, or to 0 where there is no target.
        policy_weights: of the policy loss, 0 where there is no policy target.
        next_policy: the policy of the search one ply later, likewise.
        next_weights: of its loss, 0 where there is none.
        outcomes: results of the matches, in [-1, 1], for the player to move.
        draws: how much of a draw they are, in [0, 1]; see `Samples`.
        outcome_weights: 1 where the outcome counts, else 0.
        search_values: values of the searches, in [-1, 1], for the player to move.
        short_term_values: averages of the values of the next searches over some horizons, in
            [-1, 1], for the player to move.
        progress: how far the match had come, from 0 at its first ply to 1 at its last one.
        auxiliary: targets that the game declares, in [-1, 1].
        counts: weight of each position in the means over the batch, at least 0; with 1 for each
            it is the plain mean.
    """

    observations: Float32[Array, "B ..."]
    legal: Bool[Array, "B A"]
    policy: Float32[Array, "B A"]
    policy_weights: Float32[Array, " B"]
    next_policy: Float32[Array, "B A"]
    next_weights: Float32[Array, " B"]
    outcomes: Float32[Array, " B"]
    draws: Float32[Array, " B"]
    outcome_weights: Float32[Array, " B"]
    search_values: Float32[Array, " B"]
    short_term_values: Float32[Array, "B H"]
    progress: Float32[Array, " B"]
    auxiliary: dict[str, Float32[Array, "B ..."]]
    counts: Float32[Array, " B"]


def make_targets(
    game: Game[Any],
    config: LearnerConfig,
    samples: Any,
    counts: Float32[Array, " B"],
    *,
    keys: Key[Array, " B"],
) -> Targets:
    """Returns the targets of `samples`, each turned by a random symmetry.

    Args:
        game: the rules.
        config: says whether to use symmetries, label smoothing and history dropout.
        samples: `selfplay.replay.Samples` of `B` positions.
        counts: weight of each position, see `Targets`.
        keys: one for each position; consumed. What is drawn for a position depends on its key
            alone.
    """
    symmetry_keys, dropout_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    legal = jax.vmap(game.legal_action_mask)(samples.states)
    policy = dense_policies(samples.policy_actions, samples.policy_probabilities, game.num_actions)
    if config.label_smoothing:
        even = legal / jnp.maximum(legal.sum(axis=-1, keepdims=True), 1)
        policy = (1 - config.label_smoothing) * policy + config.label_smoothing * even
    next_policy = dense_policies(samples.next_actions, samples.next_probabilities, game.num_actions)
    states, final_states = samples.states, samples.final_states
    symmetries = game.symmetries() if config.symmetries else ()
    if symmetries:
        which = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(symmetries) + 1))(
            symmetry_keys
        )
        maps = [lambda state: state, *(symmetry.map_state for symmetry in symmetries)]

        def turn(states: PyTree) -> PyTree:
            return jax.vmap(lambda index, state: jax.lax.switch(index, maps, state))(which, states)

        # Row s, column b: the action that symmetry s maps to b.
        origins = jnp.array(
            [
                _inverse(permutation)
                for permutation in (
                    range(game.num_actions),
                    *(symmetry.permutation for symmetry in symmetries),
                )
            ],
            jnp.int32,
        )[which]
        states = turn(states)
        final_states = None if final_states is None else turn(final_states)
        policy = jnp.take_along_axis(policy, origins, axis=1)
        next_policy = jnp.take_along_axis(next_policy, origins, axis=1)
        legal = jnp.take_along_axis(legal, origins, axis=1)
    observations = jax.vmap(game.observe)(states).astype(jnp.float32)
    if config.history_dropout and game.history_planes:
        dropped = jax.vmap(lambda key: jax.random.bernoulli(key, config.history_dropout))(
            dropout_keys
        )
        planes = jnp.zeros(observations.shape, jnp.bool_)
        planes = planes.at[..., jnp.array(game.history_planes)].set(True)
        dropped = dropped.reshape(-1, *[1] * (observations.ndim - 1))
        observations = jnp.where(dropped & planes, 0.0, observations)
    auxiliary = (
        {} if final_states is None else jax.vmap(game.auxiliary_targets)(states, final_states)
    )
    return Targets(
        observations=observations,
        legal=legal,
        policy=policy,
        policy_weights=samples.policy_weights,
        next_policy=next_policy,
        next_weights=samples.next_weights,
        outcomes=samples.outcomes,
        draws=samples.draws,
        outcome_weights=samples.outcome_weights,
        search_values=samples.search_values,
        short_term_values=samples.short_term_values,
        progress=samples.progress,
        auxiliary={name: target.astype(jnp.float32) for name, target in auxiliary.items()},
        counts=counts,
    )


def dense_policies(
    actions: Int32[Array, "B K"], shares: Float32[Array, "B K"], num_actions: int
) -> Float32[Array, "B A"]:
    """Returns sparse policies as full rows that sum to 1, or to 0 where nothing is given."""
    rows = jnp.arange(actions.shape[0])[:, None]
    full = jnp.zeros((actions.shape[0], num_actions)).at[rows, actions].add(shares)
    return full / jnp.maximum(full.sum(axis=-1, keepdims=True), 1e-30)


def _inverse(permutation: Any) -> list[int]:
    inverse = [0] * len(permutation)
    for origin, image in enumerate(permutation):
        inverse[int(image)] = origin
    return inverse
