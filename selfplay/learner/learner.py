"""The learner: makes updates of the weights from samples, in one compiled function."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float32, Int32, Key, PyTree

from selfplay.game import Game, pytree
from selfplay.learner.losses import losses
from selfplay.learner.optimizer import make_optimizer
from selfplay.learner.targets import make_targets
from selfplay.networks import Network, Weights
from selfplay.parallel import ALONG_BATCH, AXIS, REPLICATED, local_mesh, per_device, place
from selfplay.settings.sections.learner import LearnerConfig


@pytree
class TrainState:
    """Everything that an update changes.

    Attributes:
        weights: to which the gradient is applied.
        average: exponential moving average of the weights, with which matches are played.
        optimizer: state of the optimiser.
        update: number of updates made.
    """

    weights: Weights
    average: Weights
    optimizer: PyTree
    update: Int32[Array, ""]


Metrics = dict[str, Float32[Array, "..."]]
"""Loss parts by name, "gradient_norm", and "finite": 1 if these and all new weights are finite."""

_ALONG_BATCHES = PartitionSpec(None, *ALONG_BATCH)

_NOISE = "losses/"
"""Begins the names of what `learn_loss_weights` learns, among the weights."""

_MOST_UPDATES = 16
"""In one call of the device: with so many, the cost of starting a call is small."""

_MOST_CPU_UPDATES = 8
"""The same on CPU cores: of a call with fewer updates the rest is copied for nothing."""

_SAMPLES_BYTES = 64e6
"""Of the samples of calls that wait; those of one more call are on the device."""


class Learner:
    """Makes updates. It holds settings and compiled functions, no weights."""

    def __init__(
        self,
        game: Game[Any],
        network: Network,
        config: LearnerConfig,
        *,
        mesh: Mesh | None = None,
    ) -> None:
        """Prepares the update.

        Args:
            game: the rules.
            network: to be trained.
            config: loss, optimiser and batch size.
            mesh: any number of devices, which share each batch; by default all local ones.
        """
        self.network = network
        self.config = config
        self.mesh = mesh or local_mesh()
        self.optimizer = make_optimizer(config)
        shapes = network.weight_shapes().values()
        self._has_convolutions = any(len(leaf.shape) > 2 for leaf in shapes)
        self._updates = self._compiled(game)
        self._last_numbers: tuple[tuple[float, ...], int] | None = None
        self._last_key: Key[Array, ""] | None = None
        self._last_arguments: Any = None

    def _compiled(self, game: Game[Any]) -> Callable[..., tuple[TrainState, Metrics]]:
        # Its name is what traces and the log of compilations show.
        def update_weights(
            state: TrainState, samples: Any, rates: Array, count: Array, key_data: Array
        ) -> tuple[TrainState, Metrics]:
            key = jax.random.wrap_key_data(key_data)

            def update(state: TrainState, samples: Any, rate: Array) -> tuple[TrainState, Metrics]:
                return _update(
                    game,
                    self.network,
                    self.config,
                    self.optimizer,
                    state,
                    samples,
                    rate,
                    jax.random.fold_in(key, state.update),
                )

            return _repeat(update, state, samples, rates, count)

        specs = (REPLICATED, _ALONG_BATCHES, REPLICATED, REPLICATED, REPLICATED)
        return jax.jit(
            per_device(update_weights, self.mesh, in_specs=specs, out_specs=REPLICATED),
            donate_argnums=0,
        )

    def init(self, *, key: Key[Array, ""]) -> TrainState:
        """Returns fresh weights and optimiser state; `key` is consumed."""
        return self.place(self._fresh(key))

    def like(self) -> TrainState:
        """Returns the shapes of what `init` returns."""
        return jax.eval_shape(self._fresh, jax.random.key(0))

    def _fresh(self, key: Key[Array, ""]) -> TrainState:
        weights = self.network.init(key=key)
        if self.config.learn_loss_weights:
            parts = ("policy", "value", *self.network.auxiliary_shapes)
            weights |= {_NOISE + name: jnp.float32(0.0) for name in parts}
        return TrainState(
            weights=weights,
            average=jax.tree.map(jnp.copy, weights),
            optimizer=self.optimizer.init(weights),
            update=jnp.int32(0),
        )

    def place(self, state: PyTree) -> PyTree:
        """Returns `state` (or any part of it) copied to every device, as `update` returns it.

        Weights that lie elsewhere would make every compiled function compile again.
        """
        # Copied even where they lie right already: `update` donates them, and JAX shares small
        # constants such as `jnp.int32(0)` between programs.
        return place(state, self.mesh, REPLICATED)

    def update(
        self, state: TrainState, samples: Any, *, learning_rate: float, key: Key[Array, ""]
    ) -> tuple[TrainState, Metrics]:
        """Makes one update, as `updates` does.

        Args:
            state: donated, do not use it again.
            samples: `selfplay.replay.Samples` of `batch_size` positions.
            learning_rate: of this update.
            key: may be the same for every update: sample i of update n draws its symmetry from
                `fold_in(fold_in(key, n), i)`.

        Returns:
            The new state, and what the update reports.
        """
        batches = jax.tree.map(lambda leaf: leaf[None], samples)
        state, reports = self.updates(
            state, batches, learning_rates=[learning_rate], count=1, key=key
        )
        return state, {name: values[0] for name, values in reports.items()}

    def most_updates(self, samples: Any) -> int:
        """Returns how many updates `updates` is to make in one call, by the size of a batch.

        It is one for convolutions on CPU cores: there XLA has fast code for their backward pass
        only outside loops. In a small perceptron a call costs as much time as the update itself.

        Args:
            samples: one batch.
        """
        fitting = _fitting(samples)
        if self.mesh.devices.flat[0].platform != "cpu":
            return fitting
        return 1 if self._has_convolutions else min(fitting, _MOST_CPU_UPDATES)

    def calls_ahead(self, samples: Any) -> int:
        """Returns how many calls of `updates` may wait for the device beside the last one.

        Args:
            samples: one batch.
        """
        return max(1, _fitting(samples) // self.most_updates(samples))

    def updates(
        self,
        state: TrainState,
        samples: Any,
        *,
        learning_rates: Sequence[float],
        count: int,
        key: Key[Array, ""],
    ) -> tuple[TrainState, Metrics]:
        """Makes several updates in one call of the device, and returns before they are made.

        The result does not depend on how updates are grouped: two calls of one give, bit for bit,
        the result of one call of two. One program serves every `count`.

        Args:
            state: donated, do not use it again.
            samples: a batch for each of `K` updates, leaves [K, B, ...], where `B` is
                `batch_size`; only those of the first `count` are looked at.
            learning_rates: of each; see `learning_rate` for what 0 means.
            count: how many to make, in [1, K].
            key: the same for every call; sample i of update n draws its symmetry from
                `fold_in(fold_in(key, n), i)`.

        Returns:
            The new state, and what each update reports, leaves [K]; 0 from `count` on.
        """
        samples = self._padded(samples)
        if jax.process_count() > 1:
            samples = place(samples, self.mesh, _ALONG_BATCHES)
        return self._updates(state, samples, *self._arguments(tuple(learning_rates), count, key))

    def _arguments(
        self, rates: tuple[float, ...], count: int, key: Key[Array, ""]
    ) -> tuple[Array, Array, Array]:
        """Returns these numbers as arrays on all devices.

        Most calls in a row have equal ones, and making arrays takes as long as starting the call.
        """
        if (rates, count) != self._last_numbers or key is not self._last_key:
            arguments = (
                jnp.array(rates, jnp.float32),
                jnp.int32(count),
                jax.random.key_data(key),
            )
            self._last_numbers, self._last_key = (rates, count), key
            self._last_arguments = place(arguments, self.mesh, REPLICATED)
        return self._last_arguments

    def _padded(self, samples: Any) -> Any:
        """Returns `samples` with batches that devices and micro-batches can share evenly.

        It adds copies of the first samples, with weight 0: see `_update`.
        """
        parts = self.mesh.size * self.config.micro_batches
        missing = -self.config.batch_size % parts
        if not missing:
            return samples
        batch = self.config.batch_size
        order = [index % batch for index in range(batch + missing)]
        return jax.tree.map(lambda leaf: leaf[:, order], samples)


def _fitting(samples: Any) -> int:
    """Returns for how many updates the samples may be on their way together."""
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(samples))
    return max(1, min(_MOST_UPDATES, int(_SAMPLES_BYTES / max(size, 1))))


def _repeat(
    update: Callable[[TrainState, Any, Array], tuple[TrainState, Metrics]],
    state: TrainState,
    samples: Any,
    rates: Float32[Array, " K"],
    count: Int32[Array, ""],
) -> tuple[TrainState, Metrics]:
    """Makes the first `count` of `K` updates, one after the other; reports are leaves [K]."""

    def batch(number: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[number], samples)

    if rates.shape == (1,):
        state, report = update(state, batch(0), rates[0])
        return state, {name: value[None] for name, value in report.items()}
    _, report = jax.eval_shape(update, state, batch(0), rates[0])

    def step(number: Array, carried: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
        state, reports = carried
        state, report = update(state, batch(number), rates[number])
        return state, {
            name: values.at[number].set(report[name]) for name, values in reports.items()
        }

    nothing = {name: jnp.zeros(rates.shape, leaf.dtype) for name, leaf in report.items()}
    return jax.lax.fori_loop(0, count, step, (state, nothing))


def _update(
    game: Game[Any],
    network: Network,
    config: LearnerConfig,
    optimizer: optax.GradientTransformationExtraArgs,
    state: TrainState,
    samples: Any,
    rate: Float32[Array, ""],
    key: Key[Array, ""],
) -> tuple[TrainState, Metrics]:
    """One update on one device's part of the batch; gradients are averaged over the devices.

    The result does not depend on the number of devices, except for rounding: each sample draws its
    symmetry by its index in the whole batch, and indices from `batch_size` on, which only fill the
    last parts, have weight 0.
    """
    part = samples.outcomes.shape[0]
    whole = part * jax.lax.axis_size(AXIS)
    indices = jax.lax.axis_index(AXIS) * part + jnp.arange(part)
    # The mean over all parts of equal length, padding and all, is that over the real samples.
    counts = jnp.where(indices < config.batch_size, whole / config.batch_size, 0.0)

    def loss(weights: Weights, targets: Any) -> tuple[Array, Metrics]:
        noise = None
        if config.learn_loss_weights:
            noise = {name.removeprefix(_NOISE): weights[name] for name in weights if _NOISE in name}
        prediction = network.apply(weights, targets.observations)
        parts = losses(config, prediction, targets, noise)
        return parts["total"], parts

    keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(indices)
    targets = make_targets(game, config, samples, counts, keys=keys)
    if config.micro_batches == 1:
        gradient, parts = jax.grad(loss, has_aux=True)(state.weights, targets)
    else:
        cut = jax.tree.map(
            lambda leaf: leaf.reshape(config.micro_batches, -1, *leaf.shape[1:]), targets
        )
        found = jax.lax.map(lambda part: jax.grad(loss, has_aux=True)(state.weights, part), cut)
        gradient, parts = jax.tree.map(lambda leaf: leaf.mean(axis=0), found)
    # In one piece: devices wait for each other once, not for each weight.
    pieces, apart = ravel_pytree((gradient, parts))
    gradient, parts = apart(jax.lax.pmean(pieces, AXIS))
    step, optimizer_state = optimizer.update(
        gradient, state.optimizer, state.weights, steps=rate > 0
    )
    weights = jax.tree.map(lambda weight, change: weight + rate * change, state.weights, step)
    # Early weights are poor, so the average has a short memory at first.
    made = state.update.astype(jnp.float32)
    decay = jnp.minimum(config.ema_decay, (1 + made) / (10 + made))
    average = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.average, weights)
    norm = optax.tree.norm(gradient)
    finite = jnp.isfinite(norm) & jnp.isfinite(parts["total"])
    for weight in jax.tree.leaves(weights):
        finite &= jnp.isfinite(weight).all()
    return (
        TrainState(
            weights=weights, average=average, optimizer=optimizer_state, update=state.update + 1
        ),
        {**parts, "gradient_norm": norm, "finite": finite.astype(jnp.float32)},
    )
