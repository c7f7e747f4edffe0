"""The network in ONNX Runtime on the host, called from inside the compiled search."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Int32, Key, PyTree

from selfplay.errors import ConfigError
from selfplay.game import Game
from selfplay.host_call import call_host, enrol
from selfplay.inference.backend import Agreement, Counts, Ranges
from selfplay.inference.graph import INPUT
from selfplay.inference.model import Model, Outputs, make_session
from selfplay.inference.onnx_backend import FLOAT32, INT8
from selfplay.inference.towers import POLICY, VALUE, build_graph
from selfplay.mcts import Evaluation
from selfplay.networks import Network, Weights, expected_result
from selfplay.settings.sections import NetworkConfig

FEWEST_SAMPLES = 64
"""Positions that a calibration needs; until there are so many the network stays in float32."""


HostWeights = Mapping[str, npt.NDArray[np.float32]]


class OnnxInference:
    """The network in ONNX Runtime, in float32 or int8, with one thread for each device.

    With int8 it computes in float32 until ranges have been measured, and again while the integer
    network agrees badly with the float one. Neither change compiles anything.
    """

    def __init__(
        self, game: Game[Any], network: Network, config: NetworkConfig, *, int8: bool
    ) -> None:
        """Prepares. Graphs are built by `load`.

        Args:
            game: the rules.
            network: gives the shape of observations.
            config: of a built-in network.
            int8: whether to compute the convolutions in integers.
        """
        self.kind = "onnx-int8" if int8 else "onnx"
        self.traits = (INT8 if int8 else FLOAT32).traits
        self.ranges: Ranges | None = None
        self._fitting: Ranges | None = None
        self._game = game
        self._network = network
        self._config = config
        self._models: dict[int, Model] = {}
        self._weights: dict[int, HostWeights] = {}
        self._outcomes = 3 if config.value_head == "wdl" else 1

    def evaluate(self, params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        """Returns the evaluation of `B` states: zeros, not computed, where the match is over.

        Raises:
            ConfigError: `params` are weights instead of what `load` returns for them.
        """
        del key
        if isinstance(params, Mapping):
            raise ConfigError(
                f"search.inference is {self.kind!r}, but the search was given raw weights",
                hint="ONNX Runtime computes what is loaded: pass inference.load(weights), "
                "such as components.inference.load(weights)",
            )
        observations = jax.vmap(self._game.observe)(states).astype(jnp.float32)
        wanted = ~jax.vmap(self._game.is_terminal)(states)
        legal = jax.vmap(self._game.legal_action_mask)(states)
        batch = observations.shape[0]
        outputs = (
            jax.ShapeDtypeStruct((batch, self._game.num_actions), jnp.float32),
            jax.ShapeDtypeStruct((batch, self._outcomes), jnp.float32),
        )
        policy_logits, value_logits = call_host(params, outputs, observations, wanted, legal)
        return Evaluation(policy_logits=policy_logits, value=expected_result(value_logits))

    def load(self, weights: Weights) -> Int32[Array, ""]:
        """Returns the number by which compiled programs name these weights."""
        host = {name: np.asarray(leaf) for name, leaf in weights.items()}
        if self.ranges is not None and self.ranges is not self._fitting:
            graph = build_graph(self._config, self._network.observation_shape, host)
            if len(self.ranges) != sum(graph.quantised.values()):
                # From a checkpoint of another version of selfplay: they will be measured again.
                self.ranges = None
            self._fitting = self.ranges
        model = self._model(host, self.ranges)
        number = enrol(model)
        self._models[number], self._weights[number] = model, host
        return jnp.int32(number)

    def release(self, params: PyTree) -> None:
        """Frees the weights that have this number."""
        del self._models[int(params)], self._weights[int(params)]

    def calibrate(self, params: PyTree) -> Agreement | None:
        """Measures ranges on half of the sampled positions, and the agreement on the other half.

        The ranges are used from the next `load` on, if the agreement is good. Returns None if
        nothing was measured: without int8, or with fewer than `FEWEST_SAMPLES` positions.
        """
        if not self.traits.calibrates:
            return None
        samples = self._models[int(params)].samples()
        if samples is None or len(samples.legal) < FEWEST_SAMPLES:
            return None
        weights = self._weights[int(params)]
        half = len(samples.legal) // 2
        seen, legal = samples.observations, samples.legal[half:]
        measured = measure_ranges(self._network, self._config, weights, seen[:half])
        everything = np.ones(len(legal), np.bool_)
        exact, rounded = (
            self._model(weights, ranges)(seen[half:], everything, legal)
            for ranges in (None, measured)
        )
        found = agreement(exact, rounded, legal)
        self.ranges = measured if found.good else None
        return found

    def counts(self, params: PyTree) -> Counts:
        """Returns how many positions were asked for and computed since `load`."""
        model = self._models[int(params)]
        return Counts(asked=model.asked, computed=model.computed)

    def _model(self, weights: HostWeights, ranges: Ranges | None) -> Model:
        return Model(serialise(self._network, self._config, weights, ranges))


def serialise(
    network: Network, config: NetworkConfig, weights: HostWeights, ranges: Ranges | None
) -> bytes:
    """Returns the ONNX model with the outputs `POLICY` and `VALUE`, in int8 if there are ranges."""
    graph = build_graph(config, network.observation_shape, weights, ranges)
    return graph.serialise(network.observation_shape, [POLICY, VALUE])


def measure_ranges(
    network: Network,
    config: NetworkConfig,
    weights: HostWeights,
    observations: npt.NDArray[np.float32],
) -> Ranges:
    """Returns the ranges, over these observations, of every tensor that int8 rounds."""
    graph = build_graph(config, network.observation_shape, weights)
    if not graph.quantised:
        return np.zeros((0, 2), np.float32)
    session = make_session(graph.serialise(network.observation_shape, list(graph.quantised)))
    outputs = session.run(None, {INPUT: observations})
    ranges = []
    for output, count in zip(outputs, graph.quantised.values(), strict=True):
        axes = None if count == 1 else (0, 2, 3)
        ranges.append(np.stack([output.min(axes), output.max(axes)], axis=-1).reshape(count, 2))
    return np.concatenate(ranges).astype(np.float32)


def agreement(exact: Outputs, rounded: Outputs, legal: Bool[np.ndarray, "B A"]) -> Agreement:
    """Returns how close `rounded` is to `exact`, over the legal actions."""
    # A finite floor, not -inf: zero times infinity is no number.
    floor = np.finfo(np.float32).min / 2
    log_p, log_q = (
        _log_softmax(np.where(legal, outputs.policy_logits, floor)) for outputs in (exact, rounded)
    )
    values = [
        np.asarray(expected_result(jnp.asarray(outputs.value_logits)))
        for outputs in (exact, rounded)
    ]
    return Agreement(
        policy_divergence=float((np.exp(log_p) * (log_p - log_q)).sum(axis=-1).mean()),
        same_move=float((log_p.argmax(axis=-1) == log_q.argmax(axis=-1)).mean()),
        value_error=float(np.abs(values[0] - values[1]).mean()),
        positions=len(log_p),
    )


def _log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
