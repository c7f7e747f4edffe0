"""Targets and losses of one batch. Pure."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree

from selfplay.game import Game, pytree
from selfplay.networks import NEXT_POLICY, Prediction
from selfplay.settings.sections.learner import LearnerConfig

_FLOOR = -1e9


@pytree
class Targets:
    """What the network is to predict for `B` positions, each under a random symmetry.

    Attributes:
        observations: of the player to move.
        legal: True where an action is legal.
        policy: the policy of the search; each row sums to 1, or to 0 where there is no target.
        policy_weights: 1 where there is a policy target, else 0.
        next_policy: the policy of the search one ply later, likewise.
        next_weights: 1 where there is one, else 0.
        outcomes: results of the matches, in [-1, 1], for the player to move.
        outcome_weights: 1 where the outcome counts, else 0.
        search_values: values of the searches, in [-1, 1], for the player to move.
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
    outcome_weights: Float32[Array, " B"]
    search_values: Float32[Array, " B"]
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
    policy = _dense(samples.policy_actions, samples.policy_probabilities, game.num_actions)
    if config.label_smoothing:
        even = legal / jnp.maximum(legal.sum(axis=-1, keepdims=True), 1)
        policy = (1 - config.label_smoothing) * policy + config.label_smoothing * even
    next_policy = _dense(samples.next_actions, samples.next_probabilities, game.num_actions)
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
        outcome_weights=samples.outcome_weights,
        search_values=samples.search_values,
        auxiliary={name: target.astype(jnp.float32) for name, target in auxiliary.items()},
        counts=counts,
    )


def losses(
    config: LearnerConfig, prediction: Prediction, targets: Targets
) -> dict[str, Float32[Array, ""]]:
    """Returns the parts of the loss, each a mean over the batch, and their weighted sum "total".

    As in Silver et al., "Mastering the game of Go without human knowledge", 2017, equation 1, with
    weight decay left to the optimiser. "policy" is the cross-entropy over the legal actions and
    "policy_entropy" its lower bound, the entropy of the targets. "next_policy" is the auxiliary
    policy target of Wu, "Accelerating self-play learning in Go", 2019, section 3.4. All are at
    least 0.

    Args:
        config: form of the value loss, and the weights of the parts.
        prediction: of the network.
        targets: `targets.counts` weighs the positions in the means.
    """

    def mean(each: Float32[Array, "B ..."]) -> Float32[Array, ""]:
        return jnp.mean(each * targets.counts.reshape(-1, *[1] * (each.ndim - 1)))

    logits = jnp.where(targets.legal, prediction.policy_logits, _FLOOR)
    policy = optax.losses.softmax_cross_entropy(logits, targets.policy)
    entropy = -jnp.sum(targets.policy * jnp.log(jnp.maximum(targets.policy, 1e-30)), axis=-1)
    parts = {
        "policy": mean(policy * targets.policy_weights),
        "policy_entropy": mean(entropy * targets.policy_weights),
        "value": mean(_value_loss(config, prediction, targets)),
    }
    total = config.policy_weight * parts["policy"] + config.value_weight * parts["value"]
    for name, predicted in prediction.auxiliary.items():
        if name == NEXT_POLICY:
            each = optax.losses.softmax_cross_entropy(predicted, targets.next_policy)
            parts[name] = mean(each * targets.next_weights)
            total += config.next_policy_weight * parts[name]
        else:
            parts[name] = mean(jnp.square(predicted - targets.auxiliary[name]))
            total += config.auxiliary_weight * parts[name]
    return {"total": total, **parts}


def _value_loss(
    config: LearnerConfig, prediction: Prediction, targets: Targets
) -> Float32[Array, " B"]:
    """Returns the value loss of each position.

    The outcome and the value of the search are both targets, with the shares `outcome_share` and
    its rest. With cross-entropy the outcome trains the probabilities of win, draw and loss. The
    search gives the expected result alone, so its part is the cross-entropy of the expected score
    (1 + value) / 2: how likely a draw is, the network learns from outcomes.
    """
    share = config.outcome_share * targets.outcome_weights
    if config.value_loss != "cross_entropy":
        error = prediction.value - (share * targets.outcomes + (1 - share) * targets.search_values)
        if config.value_loss == "huber":
            return optax.losses.huber_loss(error, delta=0.5)
        return jnp.square(error)
    from_search = _score_cross_entropy(prediction.value, targets.search_values)
    if prediction.value_logits.shape[-1] == 1:
        from_outcome = _score_cross_entropy(prediction.value, targets.outcomes)
    else:
        outcome = targets.outcomes
        win_draw_loss = jnp.stack(
            [jnp.maximum(outcome, 0), 1 - jnp.abs(outcome), jnp.maximum(-outcome, 0)], axis=-1
        )
        from_outcome = optax.losses.softmax_cross_entropy(prediction.value_logits, win_draw_loss)
    return share * from_outcome + (1 - share) * from_search


def _score_cross_entropy(
    value: Float32[Array, " B"], target: Float32[Array, " B"]
) -> Float32[Array, " B"]:
    score = jnp.clip((1 + value) / 2, 1e-6, 1 - 1e-6)
    wanted = (1 + target) / 2
    return -wanted * jnp.log(score) - (1 - wanted) * jnp.log1p(-score)


def _dense(
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
