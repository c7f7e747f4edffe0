"""Layers that the built-in networks share."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from selfplay.settings.sections.network import NetworkConfig


def conv(
    inputs: int,
    outputs: int,
    size: int,
    config: NetworkConfig,
    *,
    rngs: nnx.Rngs,
    zero: bool = False,
    groups: int = 1,
) -> nnx.Conv:
    """Returns a convolution that keeps the board's size.

    Args:
        inputs: channels.
        outputs: channels.
        size: of the kernel, in cells.
        config: says in which precision it computes.
        rngs: draws the kernel.
        zero: whether the kernel starts at zero.
        groups: into which the channels are divided; each output sees the inputs of its group.
    """
    init = nnx.initializers.zeros_init() if zero else nnx.initializers.he_normal()
    return nnx.Conv(
        inputs,
        outputs,
        (size, size),
        dtype=jnp.dtype(config.dtype),
        kernel_init=init,
        feature_group_count=groups,
        rngs=rngs,
    )


def linear(inputs: int, outputs: int, *, rngs: nnx.Rngs, zero: bool = False) -> nnx.Linear:
    """Returns a dense layer in float32, whose kernel starts at zero if `zero`."""
    init = nnx.initializers.zeros_init() if zero else nnx.initializers.he_normal()
    return nnx.Linear(inputs, outputs, kernel_init=init, rngs=rngs)


def pool(board: Float[Array, "B H W C"]) -> Float[Array, "B C2"]:
    """Returns the mean, then the maximum of each channel over the board: 2 C numbers."""
    return jnp.concatenate([board.mean(axis=(1, 2)), board.max(axis=(1, 2))], axis=-1)
