"""Pieces of an ONNX graph, in float32 or with the convolutions in int8.

The int8 form is written as quantise/dequantise pairs, which ONNX Runtime fuses into integer
kernels: weights symmetric in int8 with one scale an output channel, what goes into and comes out
of a convolution in uint8 with scale and zero point from measured ranges (Jacob et al.,
"Quantization and training of neural networks for efficient integer-arithmetic-only inference",
2018, section 2.1). All else stays in float32.

What leaves a convolution makes nine tenths of the error (measured on a trained Connect Four
network), so its 256 steps are spent with care. Ranges hold only what the network uses: nothing
below zero where a ReLU follows. What is added to the residual stream has a range for each channel;
the fast kernels know one for all, so the scales are folded into those of the weights, where they
cost nothing, and multiplied back in float32. Together they halve the error.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from jaxtyping import Float32, Int8
from onnx import TensorProto, helper, numpy_helper

from selfplay.inference.backend import Ranges

INPUT = "observations"
_OPSET = 17
_IR_VERSION = 10
_SMALLEST_RANGE = 1e-6


class Graph:
    """Nodes and constants as they are added; each method returns the name of its result."""

    def __init__(self, weights: Mapping[str, np.ndarray], ranges: Ranges | None = None) -> None:
        """Starts empty.

        Args:
            weights: of the network, by name.
            ranges: of all that `quantised` lists; None for a graph in float32.

        Attributes:
            quantised: the tensors that int8 rounds, in order, with the number of their ranges:
                1, or one for each channel.
        """
        self.weights = weights
        self._ranges = ranges
        self._ranges_used = 0
        self.quantised: dict[str, int] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Adds a node with one output."""
        output = name or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        """Adds a constant, once for each name."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def linear(self, features: str, name: str) -> str:
        """Adds a dense layer: [batch, features] to [batch, units]."""
        kernel, bias = (
            self.constant(f"{name}/{part}", self.weights[f"{name}/{part}"])
            for part in ("kernel", "bias")
        )
        return self.add("Gemm", features, kernel, bias)

    def layer_norm(self, features: str, name: str) -> str:
        """Adds a normalisation over the last axis, as flax's `LayerNorm` has it."""
        scale, bias = (
            self.constant(f"{name}/{part}", self.weights[f"{name}/{part}"])
            for part in ("scale", "bias")
        )
        return self.add("LayerNormalization", features, scale, bias, axis=-1, epsilon=1e-6)

    def board_norm(self, board: str, name: str) -> str:
        """Adds a normalisation of each cell over the channels of [batch, channels, ...]."""
        cells = self.layer_norm(self.add("Transpose", board, perm=[0, 2, 3, 1]), name)
        return self.add("Transpose", cells, perm=[0, 3, 1, 2])

    def conv(self, board: str, name: str, *, channelwise: bool = False, groups: int = 1) -> str:
        """Adds a convolution over [batch, channels, height, width] that keeps the board's size.

        `needed` must say afterwards what of the result the network uses.

        Args:
            board: what goes in.
            name: of its weights.
            channelwise: whether what comes out has a range for each channel.
            groups: into which the channels are divided.
        """
        kernel = np.transpose(self.weights[f"{name}/kernel"], (3, 2, 0, 1))
        bias = self.weights[f"{name}/bias"]
        size = kernel.shape[2]
        # As "SAME" in XLA: of an even kernel's padding the larger part comes last.
        before, after = (size - 1) // 2, size // 2
        shape: dict[str, Any] = {
            "kernel_shape": [size, size],
            "pads": [before, before, after, after],
            "group": groups,
        }
        inner, outer = f"{name}/input", f"{name}/output"
        ranges = len(kernel) if channelwise else 1
        self.quantised |= {inner: 1, outer: ranges}
        if self._ranges is None:
            inputs = [
                self.add("Identity", board, name=inner),
                self.constant(f"{name}/kernel", kernel),
                self.constant(f"{name}/bias", bias),
            ]
            return self.add("Conv", *inputs, **shape)
        in_scale, in_zero = uint8_scale(*self._next_ranges(1)[0])
        outgoing = self._next_ranges(ranges)
        out_scale, out_zero = uint8_scale(*outgoing[0])
        integers, scales = int8_kernel(kernel)
        bias_scales = in_scale * scales
        whole = np.clip(np.rint(bias / bias_scales.astype(np.float64)), -(2**30), 2**30)
        if channelwise:
            out_scales, out_zero = uint8_scales(*outgoing.T)
            scales, bias_scales = scales / out_scales, bias_scales / out_scales
            out_scale = np.float32(1)
        result = self.add(
            "Conv",
            self._rounded(board, inner, in_scale, in_zero),
            self._dequantised(f"{name}/kernel", integers, scales),
            self._dequantised(f"{name}/bias", whole.astype(np.int32), bias_scales),
            **shape,
        )
        result = self._rounded(result, outer, out_scale, out_zero)
        if channelwise:
            back = self.constant(f"{outer}/scales", out_scales[:, None, None])
            result = self.add("Mul", result, back)
        return result

    def needed(self, name: str, operator: str, *inputs: str) -> None:
        """Names what the network uses of the result of convolution `name`, to measure its range."""
        if self._ranges is None:
            self.add(operator, *inputs, name=f"{name}/output")

    def _next_ranges(self, count: int) -> Ranges:
        """Returns the ranges that come next in the order of the graph."""
        if self._ranges is None:
            raise ValueError("a graph in float32 has no ranges")
        self._ranges_used += count
        return self._ranges[self._ranges_used - count : self._ranges_used]

    def _rounded(self, tensor: str, name: str, scale: np.float32, zero: np.uint8) -> str:
        """Adds a pair of nodes that quantises to uint8 and dequantises."""
        parameters = [
            self.constant(f"{name}/scale", np.asarray(scale)),
            self.constant(f"{name}/zero", np.asarray(zero)),
        ]
        integers = self.add("QuantizeLinear", tensor, *parameters)
        return self.add("DequantizeLinear", integers, *parameters)

    def _dequantised(self, name: str, integers: np.ndarray, scales: np.ndarray) -> str:
        """Adds integers with one scale for each row."""
        return self.add(
            "DequantizeLinear",
            self.constant(name, integers),
            self.constant(f"{name}/scale", scales.astype(np.float32)),
            self.constant(f"{name}/zero", np.zeros(len(scales), integers.dtype)),
            axis=0,
        )

    def serialise(
        self,
        observation_shape: Sequence[int],
        outputs: Sequence[str],
        *,
        output_shapes: Mapping[str, Sequence[int]] | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> bytes:
        """Returns the model: `INPUT` [batch, *observation_shape] in, `outputs` out.

        Args:
            observation_shape: of one observation.
            outputs: names of what the model returns.
            output_shapes: of one row of them, for whoever reads the file; what computes needs none.
            facts: stored beside, as the model's metadata.
        """
        value, shapes = helper.make_tensor_value_info, output_shapes or {}
        # ONNX Runtime would compute what nobody asks for, too.
        nodes, wanted = [], set(outputs)
        for node in reversed(self._nodes):
            if wanted.intersection(node.output):
                nodes.append(node)
                wanted.update(node.input)
        graph = helper.make_graph(
            nodes[::-1],
            "selfplay",
            [value(INPUT, TensorProto.FLOAT, ["batch", *observation_shape])],
            [
                value(name, TensorProto.FLOAT, ["batch", *shapes[name]] if name in shapes else None)
                for name in outputs
            ],
            [constant for name, constant in self._constants.items() if name in wanted],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
        )
        helper.set_model_props(model, dict(facts or {}))
        return bytes(model.SerializeToString())


def uint8_scale(low: np.float32, high: np.float32) -> tuple[np.float32, np.uint8]:
    """Returns scale and zero point that put [low, high], widened to hold 0, on 0..255."""
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    scale = np.float32(np.maximum(high - low, _SMALLEST_RANGE) / 255)
    return scale, np.uint8(np.clip(np.rint(-low / scale), 0, 255))


def uint8_scales(
    low: Float32[np.ndarray, " channels"], high: Float32[np.ndarray, " channels"]
) -> tuple[Float32[np.ndarray, " channels"], np.uint8]:
    """Returns a scale for each channel, and the common zero point of least squared error."""
    zeros = np.arange(256, dtype=np.float32)[:, None]
    below, above = np.maximum(-low, 0), np.maximum(high, 0)
    # What cannot be reached from a zero point at the end is infinitely far.
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = np.fmax(np.fmax(below / zeros, above / (255 - zeros)), _SMALLEST_RANGE / 255)
    zero = (scales**2).sum(axis=1).argmin()
    return scales[zero].astype(np.float32), np.uint8(zero)


def int8_kernel(
    kernel: Float32[np.ndarray, "out in height width"],
) -> tuple[Int8[np.ndarray, "out in height width"], Float32[np.ndarray, " out"]]:
    """Returns the kernel in -127..127 and the scale of each output channel."""
    largest = np.maximum(np.abs(kernel).max(axis=(1, 2, 3)), _SMALLEST_RANGE)
    scales = (largest / 127).astype(np.float32)
    return np.rint(kernel / scales[:, None, None, None]).astype(np.int8), scales
