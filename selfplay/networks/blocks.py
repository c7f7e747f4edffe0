"""The blocks of the tower. Each adds to its input something that starts at zero.

The last layer of every branch starts at zero, so that a deep tower without normalisation starts as
the identity (Zhang et al., "Fixup initialization", 2019, section 3).
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from selfplay.networks.layers import conv, linear, pool
from selfplay.settings.sections.network import NetworkConfig

_HEAD_WIDTH = 16
"""Channels that one head of an attention has at least."""

FEED_FORWARD = 2
"""How much wider the hidden layer of a transformer block is than the tower."""


def make_block(
    config: NetworkConfig, index: int, size: tuple[int, int], *, rngs: nnx.Rngs
) -> nnx.Module:
    """Returns block `index`, from 0, of the tower that `config` describes.

    Args:
        config: the shape of the network.
        index: of the block.
        size: height and width of the board.
        rngs: draws its weights.
    """
    if is_transformer(config, index):
        return TransformerBlock(config, size, rngs=rngs)
    if config.block == "nested":
        return NestedBlock(config, rngs=rngs)
    return ResidualBlock(config, rngs=rngs)


def is_transformer(config: NetworkConfig, index: int) -> bool:
    """Returns whether block `index`, from 0, is a transformer block."""
    every = 1 if config.block == "transformer" else config.attention_every
    return every > 0 and index % every == every - 1


def inner_config(config: NetworkConfig) -> NetworkConfig:
    """Returns the shape of the blocks inside a nested block."""
    return dataclasses.replace(
        config, channels=config.inner_channels, block="basic", squeeze_excitation=False
    )


def attention_heads(channels: int) -> int:
    """Returns how many heads share the channels evenly, with 16 or more for each."""
    most = max(channels // _HEAD_WIDTH, 1)
    return next(count for count in range(most, 0, -1) if channels % count == 0)


class ResidualBlock(nnx.Module):
    """Adds the output of two convolutions (four as a bottleneck) to its input.

    Activations come before convolutions (He et al., "Identity mappings in deep residual networks",
    2016). Convolutions over more than one cell may be grouped (Xie et al., "Aggregated residual
    transformations for deep neural networks", 2017, section 3). Global pooling is that of Wu,
    "Accelerating self-play learning in Go", 2019, section 3.3; squeeze and excitation that of
    Hu et al., "Squeeze-and-excitation networks", 2018, section 3.
    """

    def __init__(self, config: NetworkConfig, *, rngs: nnx.Rngs) -> None:
        channels, inner = config.channels, config.inner_channels
        shapes = [(channels, channels, 3)] * 2
        if config.block == "bottleneck":
            shapes = [(channels, inner, 1), *[(inner, inner, 3)] * 2, (inner, channels, 1)]
        self.convolutions = nnx.List(
            [
                conv(
                    *shape, config, rngs=rngs, zero=index == len(shapes) - 1,
                    groups=config.groups if shape[2] > 1 else 1,
                )
                for index, shape in enumerate(shapes)
            ]
        )  # fmt: skip
        self.norm = nnx.LayerNorm(channels, rngs=rngs) if config.norm == "layer" else None
        self.pooled = linear(2 * inner, inner, rngs=rngs) if config.global_pooling else None
        self.squeeze, self.excite = _gate(config, rngs=rngs)

    def __call__(self, board: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Returns the features of the board after this block."""
        branch = board if self.norm is None else self.norm(board).astype(board.dtype)
        for index, convolution in enumerate(self.convolutions):
            branch = convolution(nnx.relu(branch))
            if index == 0 and self.pooled is not None:
                bias = self.pooled(pool(nnx.relu(branch)))
                branch = branch + bias[:, None, None, :].astype(branch.dtype)
        return board + _gated(branch, self.squeeze, self.excite)


class NestedBlock(nnx.Module):
    """Adds to its input what two basic blocks at half width make of it.

    This is the nested bottleneck of "Other methods implemented in KataGo",
    https://github.com/lightvector/KataGo/blob/master/docs/KataGoMethods.md.
    """

    def __init__(self, config: NetworkConfig, *, rngs: nnx.Rngs) -> None:
        channels, inner = config.channels, config.inner_channels
        self.norm = nnx.LayerNorm(channels, rngs=rngs) if config.norm == "layer" else None
        self.reduce = conv(channels, inner, 1, config, rngs=rngs)
        self.inner = nnx.List([ResidualBlock(inner_config(config), rngs=rngs) for _ in range(2)])
        self.expand = conv(inner, channels, 1, config, rngs=rngs, zero=True)
        self.squeeze, self.excite = _gate(config, rngs=rngs)

    def __call__(self, board: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Returns the features of the board after this block."""
        branch = board if self.norm is None else self.norm(board).astype(board.dtype)
        branch = self.reduce(nnx.relu(branch))
        for block in self.inner:
            branch = block(branch)
        return board + _gated(self.expand(nnx.relu(branch)), self.squeeze, self.excite)


class TransformerBlock(nnx.Module):
    """Adds what each cell finds in all cells, then what a hidden layer makes of each cell.

    As in Vaswani et al., "Attention is all you need", 2017, section 3, with normalisation before
    both parts, and a learnt bias for each head and distance between two cells (Liu et al., "Swin
    transformer", 2021, section 3.2).
    """

    def __init__(self, config: NetworkConfig, size: tuple[int, int], *, rngs: nnx.Rngs) -> None:
        channels = config.channels
        height, width = size
        self.heads = attention_heads(channels)
        self.norm = nnx.LayerNorm(channels, rngs=rngs)
        self.query_key_value = conv(channels, 3 * channels, 1, config, rngs=rngs)
        # One axis, as a bias: neither weight decay nor Muon is for it.
        self.distances = nnx.Param(
            jnp.zeros(self.heads * (2 * height - 1) * (2 * width - 1), jnp.float32)
        )
        self.mix = conv(channels, channels, 1, config, rngs=rngs, zero=True)
        self.feed_norm = nnx.LayerNorm(channels, rngs=rngs)
        hidden = FEED_FORWARD * channels
        self.widen = conv(channels, hidden, 1, config, rngs=rngs)
        self.narrow = conv(hidden, channels, 1, config, rngs=rngs, zero=True)

    def __call__(self, board: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Returns the features of the board after this block."""
        batch, height, width, channels = board.shape
        cells = self.query_key_value(self.norm(board).astype(board.dtype))
        split = cells.reshape(batch, height * width, 3, self.heads, channels // self.heads)
        query, key, value = split[:, :, 0], split[:, :, 1], split[:, :, 2]
        scores = jnp.einsum("bnhd,bmhd->bhnm", query, key).astype(jnp.float32)
        scores = scores / jnp.sqrt(jnp.float32(channels // self.heads))
        offsets = jnp.array(cell_offsets(height, width))
        biases = self.distances.get_value().reshape(self.heads, -1)[:, offsets]
        scores = scores + biases[None]
        shares = jax.nn.softmax(scores, axis=-1).astype(board.dtype)
        found = jnp.einsum("bhnm,bmhd->bnhd", shares, value).reshape(board.shape)
        board = board + self.mix(found)
        hidden = self.widen(self.feed_norm(board).astype(board.dtype))
        return board + self.narrow(nnx.relu(hidden))


def cell_offsets(height: int, width: int) -> list[list[int]]:
    """Returns, for each cell and each other cell, the number of their distance on the board."""
    cells = [(row, column) for row in range(height) for column in range(width)]
    return [
        [
            (row - other + height - 1) * (2 * width - 1) + column - another + width - 1
            for other, another in cells
        ]
        for row, column in cells
    ]


def _gate(config: NetworkConfig, *, rngs: nnx.Rngs) -> tuple[nnx.Linear | None, nnx.Linear | None]:
    if not config.squeeze_excitation:
        return None, None
    squeezed = max(config.channels // 4, 1)
    return (
        linear(config.channels, squeezed, rngs=rngs),
        linear(squeezed, config.channels, rngs=rngs),
    )


def _gated(
    branch: Float[Array, "B H W C"], squeeze: nnx.Linear | None, excite: nnx.Linear | None
) -> Float[Array, "B H W C"]:
    """Returns the branch with each channel scaled by a function of the means of all."""
    if squeeze is None or excite is None:
        return branch
    gate = excite(nnx.relu(squeeze(branch.mean(axis=(1, 2)))))
    return branch * nnx.sigmoid(gate)[:, None, None, :].astype(branch.dtype)
