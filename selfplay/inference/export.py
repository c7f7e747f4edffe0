"""Exports a network with its weights to one file, ONNX or StableHLO, for other programs."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Float32

from selfplay.networks import Network, Weights
from selfplay.settings.sections import NetworkConfig

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""What a StableHLO file can run on."""


def to_onnx(
    network: Network, config: NetworkConfig, weights: Weights, *, facts: Mapping[str, str]
) -> bytes:
    """Returns a serialised ONNX model in float32.

    In: `observations` [B, ...], float32. Out: `policy_logits` [B, A], of all actions, legal or not,
    and `value` [B], the expected result for the player to move, in [-1, 1].

    Args:
        network: what `config` describes.
        config: the shape of the network; not one with a module of the user's.
        weights: of the network.
        facts: stored as metadata of the model.
    """
    # Not at the top: ONNX is an extra.
    from selfplay.inference.towers import POLICY, RESULT, add_result, build_graph

    host = {name: np.asarray(leaf) for name, leaf in weights.items()}
    graph = build_graph(config, network.observation_shape, host)
    add_result(graph, config)
    shapes = {POLICY: host["heads/policy/bias"].shape, RESULT: ()}
    return graph.serialise(
        network.observation_shape, list(shapes), output_shapes=shapes, facts=facts
    )


def to_stablehlo(network: Network, weights: Weights) -> bytes:
    """Returns a function of observations that `jax.export.deserialize` reads, for `PLATFORMS`.

    The function takes observations [B, ...], float32, for any `B`, and returns policy logits
    [B, A] and values [B] as in `to_onnx`.
    """

    def predict(observations: Float32[Array, "B ..."]) -> tuple[Array, Array]:
        prediction = network.apply(weights, observations)
        return prediction.policy_logits, prediction.value

    (batch,) = export.symbolic_shape("batch")
    observations = jax.ShapeDtypeStruct((batch, *network.observation_shape), jnp.float32)
    exported = export.export(jax.jit(predict), platforms=PLATFORMS)(observations)
    return bytes(exported.serialize())
