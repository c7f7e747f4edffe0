"""The network computed by ONNX Runtime on CPU cores, in float32 or int8.

The packages `onnx` and `onnxruntime` are optional; they are imported only when a network is made.
"""

import functools
import importlib.metadata
import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from selfplay.game import Game
from selfplay.inference.backend import Backend, Inference, Obstacle, Traits
from selfplay.networks import Network
from selfplay.settings.sections import NetworkConfig

_PACKAGES = ("onnx", "onnxruntime")


class _OnnxBackend(Backend):
    def __init__(self, *, int8: bool) -> None:
        self.traits = Traits(calibrates=int8, remembers=True, calls_host=True)

    @property
    def version(self) -> str:
        return f"onnxruntime {importlib.metadata.version('onnxruntime')}"

    def obstacle(self, config: NetworkConfig) -> Obstacle | None:
        if config.module:
            return Obstacle(
                f"network.module {config.module} is a module of your own, which only XLA can run",
                "use search.inference=xla or auto",
            )
        if jax.default_backend() != "cpu":
            return Obstacle(
                f"the network runs on {jax.default_backend()}, where XLA is the way",
                "use search.inference=xla or auto, or set JAX_PLATFORMS=cpu",
            )
        if any(importlib.util.find_spec(name) is None for name in _PACKAGES):
            return Obstacle(
                "ONNX Runtime is not installed",
                'pip install "selfplay-jax[onnx]", or use search.inference=xla or auto',
            )
        return None

    def make(self, game: Game[Any], network: Network, config: NetworkConfig) -> Inference:
        from selfplay.inference.onnx_inference import OnnxInference

        return OnnxInference(game, network, config, int8=self.traits.calibrates)

    def trial(
        self,
        network: Network,
        config: NetworkConfig,
        weights: dict[str, npt.NDArray[np.float32]],
        observations: Float32[np.ndarray, "B ..."],
    ) -> Callable[[], object]:
        from selfplay.inference.graph import INPUT
        from selfplay.inference.model import make_session
        from selfplay.inference.onnx_inference import measure_ranges, serialise

        ranges = None
        if self.traits.calibrates:
            ranges = measure_ranges(network, config, weights, observations)
        session = make_session(serialise(network, config, weights, ranges))
        return functools.partial(session.run, None, {INPUT: observations})


FLOAT32 = _OnnxBackend(int8=False)
INT8 = _OnnxBackend(int8=True)
