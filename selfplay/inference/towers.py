"""The built-in networks as ONNX graphs: what `selfplay.networks.modules` computes, node by node."""

from collections.abc import Mapping

import numpy as np

from selfplay.inference.backend import Ranges
from selfplay.inference.graph import INPUT, Graph
from selfplay.settings.sections import NetworkConfig

POLICY = "policy_logits"
VALUE = "value_logits"
RESULT = "value"


def build_graph(
    config: NetworkConfig,
    observation_shape: tuple[int, ...],
    weights: Mapping[str, np.ndarray],
    ranges: Ranges | None = None,
) -> Graph:
    """Returns the graph from `INPUT` to `POLICY` [B, A] and `VALUE` [B, outcomes].

    Args:
        config: the shape of the network; not one with a module of the user's.
        observation_shape: of one observation.
        weights: by name; those of auxiliary heads are not used.
        ranges: of the tensors to quantise; None for float32.
    """
    graph = Graph(weights, ranges)
    if len(observation_shape) == 3 and config.kind != "mlp":
        policy, value = _tower(graph, config, observation_shape)
    else:
        policy = value = _perceptron(graph, config, observation_shape)
    graph.add("Identity", graph.linear(policy, "heads/policy"), name=POLICY)
    hidden = graph.add("Relu", graph.linear(value, "heads/value_hidden"))
    graph.add("Identity", graph.linear(hidden, "heads/value"), name=VALUE)
    return graph


def add_result(graph: Graph, config: NetworkConfig) -> None:
    """Adds `RESULT` [B], as `selfplay.networks.expected_result` has it."""
    if config.value_head == "scalar":
        column = graph.add("Tanh", VALUE)
    else:
        signs = np.array([[1], [0], [-1]], np.float32)
        chances = graph.add("Softmax", VALUE, axis=-1)
        column = graph.add("MatMul", chances, graph.constant("signs", signs))
    graph.add("Reshape", column, graph.constant("one_axis", np.array([-1])), name=RESULT)


def _tower(
    graph: Graph, config: NetworkConfig, observation_shape: tuple[int, ...]
) -> tuple[str, str]:
    """Adds the residual tower; returns the features for policy and value."""
    height, width, _ = observation_shape
    planes = graph.add("Transpose", INPUT, perm=[0, 3, 1, 2])
    board = graph.conv(planes, "stem")
    graph.needed("stem", "Identity", board)
    for index in range(config.blocks):
        board = _block(graph, config, board, f"blocks/{index}")
    board = graph.add("Relu", board)
    pooled = _pool(graph, board)
    features = []
    for head in ("policy_conv", "value_conv"):
        result = graph.conv(board, head)
        graph.needed(head, "Relu", result)
        # Cell by cell, as the flax module lays the features out.
        cells = graph.add("Transpose", graph.add("Relu", result), perm=[0, 2, 3, 1])
        size = height * width * graph.weights[f"{head}/bias"].shape[0]
        flat = graph.add("Reshape", cells, graph.constant(f"{head}/shape", np.array([-1, size])))
        features.append(graph.add("Concat", flat, pooled, axis=1))
    return features[0], features[1]


def _block(graph: Graph, config: NetworkConfig, board: str, name: str) -> str:
    """Adds a residual block."""
    branch = board
    if config.norm == "layer":
        last = graph.layer_norm(graph.add("Transpose", board, perm=[0, 2, 3, 1]), f"{name}/norm")
        branch = graph.add("Transpose", last, perm=[0, 3, 1, 2])
    count = 4 if config.block == "bottleneck" else 2
    for index in range(count):
        layer = f"{name}/convolutions/{index}"
        ends = index == count - 1
        branch = graph.conv(graph.add("Relu", branch), layer, channelwise=ends)
        if index == 0 and config.global_pooling:
            pooled = graph.linear(_pool(graph, graph.add("Relu", branch)), f"{name}/pooled")
            bias = _over_board(graph, pooled)
            # Below zero nothing is pooled, and below minus the bias nothing passes the next ReLU.
            graph.needed(
                layer, "Max", branch, graph.add("Min", graph.add("Neg", bias), _zero(graph))
            )
            branch = graph.add("Add", branch, bias)
        else:
            graph.needed(layer, "Identity" if ends else "Relu", branch)
    if config.squeeze_excitation:
        mean = graph.add("ReduceMean", branch, axes=[2, 3], keepdims=0)
        squeezed = graph.add("Relu", graph.linear(mean, f"{name}/squeeze"))
        gate = graph.add("Sigmoid", graph.linear(squeezed, f"{name}/excite"))
        branch = graph.add("Mul", branch, _over_board(graph, gate))
    return graph.add("Add", board, branch)


def _over_board(graph: Graph, channels: str) -> str:
    """Adds two axes to [batch, channels]."""
    return graph.add("Unsqueeze", channels, graph.constant("board_axes", np.array([2, 3])))


def _zero(graph: Graph) -> str:
    """Adds the number 0."""
    return graph.constant("zero", np.zeros((), np.float32))


def _pool(graph: Graph, board: str) -> str:
    """Adds mean and maximum of each channel over the board."""
    mean = graph.add("ReduceMean", board, axes=[2, 3], keepdims=0)
    return graph.add("Concat", mean, graph.add("ReduceMax", board, axes=[2, 3], keepdims=0), axis=1)


def _perceptron(graph: Graph, config: NetworkConfig, observation_shape: tuple[int, ...]) -> str:
    """Adds the residual perceptron; returns its features."""
    size = int(np.prod(observation_shape))
    flat = graph.add("Reshape", INPUT, graph.constant("flat", np.array([-1, size])))
    hidden = graph.linear(flat, "stem")
    for index in range(config.blocks):
        inputs = graph.layer_norm(hidden, f"norms/{index}") if config.norm == "layer" else hidden
        layer = graph.linear(graph.add("Relu", inputs), f"layers/{index}")
        hidden = graph.add("Add", hidden, layer)
    return graph.add("Relu", hidden)
