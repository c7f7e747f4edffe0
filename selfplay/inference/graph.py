"""Pieces of an ONNX graph, in float32 or with the convolutions in int8.

The int8 form is written as quantise/dequantise pairs, which ONNX Runtime fuses into integer
kernels: weights symmetric in int8 with one scale an output channel, what goes into and comes out
of a convolution in uint8 with scale and zero point from measured ranges (Jacob et al.,
"Quantization and training of neural networks for efficient integer-arithmetic-only inference",
2018, section 2.1). All else stays in float32. Measured on a trained Connect Four network: a scale
for each channel of what comes out would take a third off the error, at 0.6 of the speed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from jaxtyping import Float32, Int8
from onnx import TensorProto, helper, numpy_helper

from selfplay.inference.contract import Ranges

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
        """
        self.weights = weights
        self._ranges = ranges
        self.quantised: list[str] = []
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
        """Adds a dense layer over [batch, features]."""
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

    def conv(self, board: str, name: str) -> str:
        """Adds a convolution over [batch, channels, height, width] that keeps the board's size."""
        kernel = np.transpose(self.weights[f"{name}/kernel"], (3, 2, 0, 1))
        bias = self.weights[f"{name}/bias"]
        size = kernel.shape[2]
        # As "SAME" in XLA: of an even kernel's padding the larger part comes last.
        before, after = (size - 1) // 2, size // 2
        shape: dict[str, Any] = {
            "kernel_shape": [size, size],
            "pads": [before, before, after, after],
        }
        inner, outer = f"{name}/input", f"{name}/output"
        first = len(self.quantised)
        self.quantised += [inner, outer]
        if self._ranges is None:
            inputs = [
                self.add("Identity", board, name=inner),
                self.constant(f"{name}/kernel", kernel),
                self.constant(f"{name}/bias", bias),
            ]
            return self.add("Conv", *inputs, name=outer, **shape)
        incoming, outgoing = self._ranges[first : first + 2]
        integers, scales = int8_kernel(kernel)
        bias_scales = uint8_scale(*incoming)[0] * scales
        whole = np.clip(np.rint(bias / bias_scales.astype(np.float64)), -(2**30), 2**30)
        result = self.add(
            "Conv",
            self._rounded(board, inner, incoming),
            self._dequantised(f"{name}/kernel", integers, scales),
            self._dequantised(f"{name}/bias", whole.astype(np.int32), bias_scales),
            **shape,
        )
        return self._rounded(result, outer, outgoing)

    def _rounded(self, tensor: str, name: str, span: Float32[np.ndarray, "2"]) -> str:
        """Adds the way to uint8 and back."""
        scale, zero = uint8_scale(*span)
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

    def serialise(self, observation_shape: Sequence[int], outputs: Sequence[str]) -> bytes:
        """Returns the model: `INPUT` [batch, *observation_shape] in, `outputs` out."""
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            "selfplay",
            [value(INPUT, TensorProto.FLOAT, ["batch", *observation_shape])],
            [value(name, TensorProto.FLOAT, None) for name in outputs],
            list(self._constants.values()),
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
        )
        return bytes(model.SerializeToString())


def uint8_scale(low: np.float32, high: np.float32) -> tuple[np.float32, np.uint8]:
    """Returns scale and zero point that put [low, high], widened to hold 0, on 0..255."""
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    scale = np.float32(np.maximum(high - low, _SMALLEST_RANGE) / 255)
    return scale, np.uint8(np.clip(np.rint(-low / scale), 0, 255))


def int8_kernel(
    kernel: Float32[np.ndarray, "out in height width"],
) -> tuple[Int8[np.ndarray, "out in height width"], Float32[np.ndarray, " out"]]:
    """Returns the kernel in -127..127 and the scale of each output channel."""
    largest = np.maximum(np.abs(kernel).max(axis=(1, 2, 3)), _SMALLEST_RANGE)
    scales = (largest / 127).astype(np.float32)
    return np.rint(kernel / scales[:, None, None, None]).astype(np.int8), scales
