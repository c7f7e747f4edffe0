"""The built-in networks as ONNX graphs: what `selfplay.networks.modules` computes, node by node."""

from collections.abc import Mapping

import numpy as np

from selfplay.inference.backend import Ranges
from selfplay.inference.graph import INPUT, Graph
from selfplay.networks import attention_heads, cell_offsets, inner_config, is_transformer
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
        name = f"blocks/{index}"
        if is_transformer(config, index):
            board = _transformer(graph, board, name, (height, width))
        else:
            board = _block(graph, config, board, name)
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
    """Adds a block of convolutions."""
    branch = graph.board_norm(board, f"{name}/norm") if config.norm == "layer" else board
    if config.block == "nested":
        # What the inner blocks add to is a residual stream, too.
        branch = graph.conv(graph.add("Relu", branch), f"{name}/reduce", channelwise=True)
        graph.needed(f"{name}/reduce", "Identity", branch)
        for index in range(2):
            branch = _block(graph, inner_config(config), branch, f"{name}/inner/{index}")
        branch = graph.conv(graph.add("Relu", branch), f"{name}/expand", channelwise=True)
        graph.needed(f"{name}/expand", "Identity", branch)
    else:
        branch = _convolutions(graph, config, branch, name)
    if config.squeeze_excitation:
        mean = graph.add("ReduceMean", branch, axes=[2, 3], keepdims=0)
        squeezed = graph.add("Relu", graph.linear(mean, f"{name}/squeeze"))
        gate = graph.add("Sigmoid", graph.linear(squeezed, f"{name}/excite"))
        branch = graph.add("Mul", branch, _over_board(graph, gate))
    return graph.add("Add", board, branch)


def _convolutions(graph: Graph, config: NetworkConfig, branch: str, name: str) -> str:
    """Adds the convolutions of a residual block."""
    count = 4 if config.block == "bottleneck" else 2
    for index in range(count):
        layer = f"{name}/convolutions/{index}"
        ends = index == count - 1
        single = graph.weights[f"{layer}/kernel"].shape[0] == 1
        branch = graph.conv(
            graph.add("Relu", branch),
            layer,
            channelwise=ends,
            groups=1 if single else config.groups,
        )
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
    return branch


def _transformer(graph: Graph, board: str, name: str, size: tuple[int, int]) -> str:
    """Adds a transformer block; attention itself is computed in float32."""
    channels = graph.weights[f"{name}/mix/bias"].shape[0]
    heads, cells = attention_heads(channels), size[0] * size[1]
    width = channels // heads
    layer = f"{name}/query_key_value"
    all_three = graph.conv(graph.board_norm(board, f"{name}/norm"), layer, channelwise=True)
    graph.needed(layer, "Identity", all_three)
    shape = graph.constant(f"{name}/split", np.array([0, heads, width, cells]))
    ends = [graph.constant(f"{name}/end_{part}", np.array([part * channels])) for part in range(4)]
    query, key, value = (
        graph.add(
            "Reshape",
            graph.add(
                "Slice",
                all_three,
                *ends[part : part + 2],
                graph.constant("channel_axis", np.array([1])),
            ),
            shape,
        )
        for part in range(3)
    )
    # [batch, heads, width, cells] each; scores are [batch, heads, cells, other cells].
    scores = graph.add("MatMul", graph.add("Transpose", query, perm=[0, 1, 3, 2]), key)
    root = graph.constant(f"{name}/root", np.array(np.sqrt(width), np.float32))
    table = graph.weights[f"{name}/distances"].reshape(heads, -1)
    bias = graph.constant(f"{name}/distances", table[:, np.array(cell_offsets(*size))])
    scores = graph.add("Add", graph.add("Div", scores, root), bias)
    shares = graph.add("Softmax", scores, axis=-1)
    found = graph.add("MatMul", value, graph.add("Transpose", shares, perm=[0, 1, 3, 2]))
    whole = graph.constant(f"{name}/whole", np.array([0, channels, *size]))
    branch = graph.conv(graph.add("Reshape", found, whole), f"{name}/mix", channelwise=True)
    graph.needed(f"{name}/mix", "Identity", branch)
    board = graph.add("Add", board, branch)
    hidden = graph.conv(graph.board_norm(board, f"{name}/feed_norm"), f"{name}/widen")
    graph.needed(f"{name}/widen", "Relu", hidden)
    branch = graph.conv(graph.add("Relu", hidden), f"{name}/narrow", channelwise=True)
    graph.needed(f"{name}/narrow", "Identity", branch)
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
