"""Whether bfloat16 makes a network faster on CPU cores: a 3x3 convolution and its gradients.

    python benchmarks/bfloat16.py

Three ways: XLA's convolution in float32 and in bfloat16, and a product of matrices in bfloat16 (the
neighbours of each cell side by side), which is what XLA has fast code for where the cores have
instructions for it; and that product alone. On one core, by CPU time. Prints one JSON object a
line.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp

BATCH, HEIGHT, WIDTH = 64, 6, 7
SECONDS = 1.0
ORDER = ("NHWC", "HWIO", "NHWC")


def main() -> None:
    """Measures each width."""
    for channels in (32, 64, 128):
        board = jax.random.normal(jax.random.key(0), (BATCH, HEIGHT, WIDTH, channels))
        kernel = jax.random.normal(jax.random.key(1), (3, 3, channels, channels))
        ways: dict[str, Callable[..., Any]] = {
            "float32": convolve,
            "bfloat16": lambda x, w: convolve(x.astype(jnp.bfloat16), w.astype(jnp.bfloat16)),
            "bfloat16 as matrices": as_matrices,
        }
        for name, way in ways.items():
            print(
                json.dumps(
                    {
                        "channels": channels,
                        "way": name,
                        "forward_ms": round(1000 * seconds(way, board, kernel), 3),
                        "with_gradients_ms": round(
                            1000 * seconds(with_gradients(way), board, kernel), 3
                        ),
                    }
                ),
                flush=True,
            )
        for dtype in (jnp.float32, jnp.bfloat16):
            left = jnp.ones((BATCH * HEIGHT * WIDTH, 9 * channels), dtype)
            right = jnp.ones((9 * channels, channels), dtype)
            rate = 2e-9 * left.size * channels / seconds(_dot, left, right)
            print(
                json.dumps(
                    {
                        "channels": channels,
                        "way": f"the product alone, {right.dtype}",
                        "gflop_per_second": round(rate, 1),
                    }
                ),
                flush=True,
            )


def convolve(board: Any, kernel: Any) -> Any:
    """Returns XLA's convolution that keeps the board's size."""
    return jax.lax.conv_general_dilated(board, kernel, (1, 1), "SAME", dimension_numbers=ORDER)


@jax.custom_vjp
def as_matrices(board: Any, kernel: Any) -> Any:
    """Returns the same in bfloat16, sums in float32."""
    return _forward(board, kernel)[0]


def _forward(board: Any, kernel: Any) -> Any:
    patches = _patches(_bits(board))
    return _product(patches, kernel.astype(jnp.bfloat16), board.shape), (patches, kernel)


def _backward(kept: Any, gradient: Any) -> Any:
    patches, kernel = kept
    bits = _bits(gradient)
    columns = jax.lax.optimization_barrier(bits.reshape(-1, kernel.shape[3]).T)
    of_kernel = _dot(_floats(columns), patches).T.reshape(kernel.shape)
    turned = jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2).astype(jnp.bfloat16)
    return _product(_patches(bits), turned, gradient.shape), of_kernel


as_matrices.defvjp(_forward, _backward)


def _product(patches: Any, kernel: Any, shape: tuple[int, ...]) -> Any:
    outputs = kernel.shape[3]
    return _dot(patches, kernel.reshape(-1, outputs)).reshape(*shape[:3], outputs)


def _dot(left: Any, right: Any) -> Any:
    return jax.lax.dot(left, right, preferred_element_type=jnp.float32)


def _patches(bits: Any) -> Any:
    """Returns each cell's 3 by 3 neighbours, [cells, 9 * channels]."""
    _, height, width, channels = bits.shape
    padded = jnp.pad(bits, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return _floats(jnp.concatenate(shifted, axis=-1).reshape(-1, 9 * channels))


# Moved as integers: XLA on a CPU widens bfloat16 whatever it does with it.
def _bits(values: Any) -> Any:
    bits = jax.lax.bitcast_convert_type(values.astype(jnp.bfloat16), jnp.uint16)
    return jax.lax.optimization_barrier(bits)


def _floats(bits: Any) -> Any:
    return jax.lax.bitcast_convert_type(bits, jnp.bfloat16)


def with_gradients(way: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the convolution followed by both of its gradients."""

    def both(board: Any, kernel: Any) -> Any:
        result, pull = jax.vjp(way, board, kernel)
        return result, pull(result)

    return both


def seconds(call: Callable[..., Any], *arguments: Any) -> float:
    """Returns CPU seconds of one call."""
    compiled = jax.jit(call)
    for _ in range(3):
        jax.block_until_ready(compiled(*arguments))
    count, begin = 0, time.process_time()
    while (passed := time.process_time() - begin) < SECONDS:
        jax.block_until_ready(compiled(*arguments))
        count += 1
    return passed / count


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    main()
