"""The rule by which gradients change the weights. Pure."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int32, PyTree

from selfplay.settings.sections.learner import LearnerConfig


class Accumulated(NamedTuple):
    """State of an optimiser that adds up gradients.

    Attributes:
        rule: state of the rule that makes the steps.
        total: sum of the gradients since the last step.
        gradients: how many there were.
    """

    rule: PyTree
    total: PyTree
    gradients: Int32[Array, ""]


def make_optimizer(config: LearnerConfig) -> optax.GradientTransformationExtraArgs:
    """Returns the optimiser at learning rate 1; the update is scaled by the rate afterwards.

    Its update takes `steps`, whether it may make a step: see `_accumulating`. Weight decay is
    decoupled (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019) and spares
    biases and scales.
    """
    if config.optimizer == "adamw":
        rule = optax.adam(1.0)
    elif config.optimizer == "sgd":
        rule = optax.sgd(1.0, momentum=config.momentum, nesterov=True)
    else:
        rule = optax.contrib.muon(
            1.0,
            beta=config.momentum,
            consistent_rms=0.2,
            muon_weight_dimension_numbers=_matrices,
        )
    # The decay comes last: momentum would multiply it, and Muon's own decay hits biases too.
    chain = optax.chain(
        optax.clip_by_global_norm(config.max_gradient_norm),
        rule,
        optax.add_decayed_weights(-config.weight_decay, mask=_decayed),
    )
    return _accumulating(chain) if config.late_batches > 1 else _stepping(chain)


def _stepping(rule: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Returns an optimiser that makes a step whenever it is asked."""

    def update(
        gradient: Any, state: Any, weights: Any = None, *, steps: Any = None
    ) -> tuple[Any, Any]:
        del steps
        return rule.update(gradient, state, weights)

    return optax.GradientTransformationExtraArgs(rule.init, update)


def _accumulating(rule: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Returns an optimiser that adds up gradients until it may make a step, by their mean."""

    def init(weights: Any) -> Accumulated:
        nothing = jax.tree.map(jnp.zeros_like, weights)
        return Accumulated(rule=rule.init(weights), total=nothing, gradients=jnp.int32(0))

    def update(
        gradient: Any, state: Any, weights: Any = None, *, steps: Any = None
    ) -> tuple[Any, Any]:
        total = jax.tree.map(jnp.add, state.total, gradient)
        count = state.gradients + 1

        def step() -> tuple[Any, Accumulated]:
            mean = jax.tree.map(lambda leaf: leaf / count.astype(leaf.dtype), total)
            change, after = rule.update(mean, state.rule, weights)
            nothing = jax.tree.map(jnp.zeros_like, total)
            return change, Accumulated(rule=after, total=nothing, gradients=jnp.int32(0))

        def wait() -> tuple[Any, Accumulated]:
            nothing = jax.tree.map(jnp.zeros_like, total)
            return nothing, Accumulated(rule=state.rule, total=total, gradients=count)

        change: tuple[Any, Any] = jax.lax.cond(steps, step, wait)
        return change

    return optax.GradientTransformationExtraArgs(init, update)


def _decayed(weights: dict[str, Any]) -> dict[str, bool]:
    # Muon hands over placeholders without an `ndim` for the weights that it leaves to Adam.
    return {name: getattr(value, "ndim", 0) > 1 for name, value in weights.items()}


def _matrices(weights: dict[str, Any]) -> dict[str, Any]:
    """Returns which axes Muon takes as rows and columns; heads and biases are left to Adam."""
    return {
        name: optax.contrib.MuonDimensionNumbers(
            reduction_axis=tuple(range(value.ndim - 1)), output_axis=value.ndim - 1
        )
        if matrix and not name.startswith(("heads/", "stem/"))
        else None
        for (name, value), matrix in zip(weights.items(), _decayed(weights).values(), strict=True)
    }
