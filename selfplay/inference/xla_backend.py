"""The network computed by XLA, as part of the compiled search. It works everywhere."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float32, Key, PyTree

from selfplay.game import Game
from selfplay.inference.backend import Backend, Counts, Ranges, Traits
from selfplay.mcts import Evaluation, network_evaluator
from selfplay.networks import Network, Weights
from selfplay.settings.sections import NetworkConfig


class XlaInference:
    """The network as part of the compiled search; the params are the weights themselves."""

    kind = "xla"
    traits = Traits()

    def __init__(self, game: Game[Any], network: Network) -> None:
        """Prepares.

        Args:
            game: the rules, which say what the network observes.
            network: the network.
        """
        self._evaluate = network_evaluator(game, network)
        self.ranges: Ranges | None = None

    def evaluate(self, params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        """Returns the evaluation of `B` states."""
        return self._evaluate(params, states, key=key)

    def load(self, weights: Weights) -> PyTree:
        """Returns the weights."""
        return weights

    def release(self, params: PyTree) -> None:
        """Does nothing: it holds nothing."""

    def calibrate(self, params: PyTree) -> None:
        """Measures nothing: it computes in floating point."""

    def counts(self, params: PyTree) -> Counts:
        """Returns zeros: nobody counts inside a compiled program."""
        return Counts(asked=0, computed=0)


class _XlaBackend(Backend):
    traits = XlaInference.traits

    def obstacle(self, config: NetworkConfig) -> None:
        return None

    def make(self, game: Game[Any], network: Network, config: NetworkConfig) -> XlaInference:
        return XlaInference(game, network)

    def trial(
        self,
        network: Network,
        config: NetworkConfig,
        weights: dict[str, npt.NDArray[np.float32]],
        observations: Float32[np.ndarray, "B ..."],
    ) -> Callable[[], object]:
        apply = jax.jit(lambda weights, observations: network.apply(weights, observations).value)
        placed = jax.device_put((weights, observations), jax.local_devices()[0])
        return lambda: jax.block_until_ready(apply(*placed))


XLA = _XlaBackend()
