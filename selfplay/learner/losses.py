"""The loss of one batch. Pure."""

from collections.abc import Mapping

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float32

from selfplay.learner.targets import Targets
from selfplay.networks import NEXT_POLICY, SHORT_TERM_VALUES, SOFT_POLICY, Prediction
from selfplay.settings.sections.learner import LearnerConfig

_FLOOR = -1e9


def losses(
    config: LearnerConfig,
    prediction: Prediction,
    targets: Targets,
    noise: Mapping[str, Float32[Array, ""]] | None = None,
) -> dict[str, Float32[Array, ""]]:
    """Returns the parts of the loss, each a mean over the batch, and their weighted sum "total".

    As in Silver et al., "Mastering the game of Go without human knowledge", 2017, equation 1, with
    weight decay left to the optimiser. "policy" is the cross-entropy over the legal actions and
    "policy_entropy" its lower bound, the entropy of the targets. "next_policy" is the auxiliary
    policy target of Wu, "Accelerating self-play learning in Go", 2019, section 3.4. "soft_policy"
    and "short_term_values" are those of "Other methods implemented in KataGo",
    https://github.com/lightvector/KataGo/blob/master/docs/KataGoMethods.md. All are at least 0.

    Args:
        config: form of the value loss, and the weights of the parts.
        prediction: of the network.
        targets: `targets.counts` weighs the positions in the means.
        noise: with `learn_loss_weights`, the learnt logarithm of how large each part is to be
            expected, by name; None for parts as they are.
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
    weights = {"policy": config.policy_weight, "value": config.value_weight}
    for name, predicted in prediction.auxiliary.items():
        if name == NEXT_POLICY:
            each = optax.losses.softmax_cross_entropy(predicted, targets.next_policy)
            parts[name] = mean(each * targets.next_weights)
            weights[name] = config.next_policy_weight
        elif name == SOFT_POLICY:
            softened = jnp.where(targets.legal, predicted, _FLOOR)
            each = optax.losses.softmax_cross_entropy(softened, _softer(targets.policy))
            parts[name] = mean(each * targets.policy_weights)
            weights[name] = config.soft_policy_weight
        elif name == SHORT_TERM_VALUES:
            parts[name] = mean(jnp.square(predicted - targets.short_term_values))
            weights[name] = config.short_term_value_weight
        else:
            parts[name] = mean(jnp.square(predicted - targets.auxiliary[name]))
            weights[name] = config.auxiliary_weight
    total = jnp.float32(0.0)
    for name, weight in weights.items():
        part = parts[name]
        if noise is not None:
            part = jnp.exp(-noise[name]) * part + noise[name]
        total += weight * part
    return {"total": total, **parts}


def _softer(policy: Float32[Array, "B A"]) -> Float32[Array, "B A"]:
    """Returns the fourth root of each probability, scaled to sum to 1; 0 stays 0."""
    roots = jnp.where(policy > 0, jnp.sqrt(jnp.sqrt(jnp.maximum(policy, 1e-30))), 0.0)
    return roots / jnp.maximum(roots.sum(axis=-1, keepdims=True), 1e-30)


def _value_loss(
    config: LearnerConfig, prediction: Prediction, targets: Targets
) -> Float32[Array, " B"]:
    """Returns the value loss of each position.

    The outcome and the value of the search are both targets, with the shares `outcome_share` (from
    the first ply to the last one it may change to `late_outcome_share`) and its rest. With
    cross-entropy the outcome trains the probabilities of win, draw and loss. The search gives the
    expected result alone, so its part is the cross-entropy of the expected score (1 + value) / 2:
    how likely a draw is, the network learns from outcomes.
    """
    share = config.outcome_share * targets.outcome_weights
    if config.late_outcome_share >= 0:
        change = (config.late_outcome_share - config.outcome_share) * targets.progress
        share = (config.outcome_share + change) * targets.outcome_weights
    if config.value_loss != "cross_entropy":
        error = prediction.value - (share * targets.outcomes + (1 - share) * targets.search_values)
        if config.value_loss == "huber":
            return optax.losses.huber_loss(error, delta=0.5)
        return jnp.square(error)
    from_search = _score_cross_entropy(prediction.value, targets.search_values)
    if prediction.value_logits.shape[-1] == 1:
        from_outcome = _score_cross_entropy(prediction.value, targets.outcomes)
    else:
        outcome, draw = targets.outcomes, targets.draws
        win_draw_loss = jnp.stack(
            [(1 - draw + outcome) / 2, draw, (1 - draw - outcome) / 2], axis=-1
        )
        from_outcome = optax.losses.softmax_cross_entropy(prediction.value_logits, win_draw_loss)
    return share * from_outcome + (1 - share) * from_search


def _score_cross_entropy(
    value: Float32[Array, " B"], target: Float32[Array, " B"]
) -> Float32[Array, " B"]:
    score = jnp.clip((1 + value) / 2, 1e-6, 1 - 1e-6)
    wanted = (1 + target) / 2
    return -wanted * jnp.log(score) - (1 - wanted) * jnp.log1p(-score)
