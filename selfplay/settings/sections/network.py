"""Settings of the network."""

import dataclasses

from selfplay.configuration import check_choice, check_range
from selfplay.errors import ConfigError

BLOCKS = ("basic", "bottleneck", "nested", "transformer")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """The shape of the network.

    Attributes:
        kind: "resnet" for observations [height, width, planes], "mlp" for any shape (flattened),
            "auto" to choose by the observation's rank.
        module: a user's own `flax.nnx.Module`, as "file.py:Class" or "package.module:Class";
            empty for the built-in ones. See `selfplay.networks.build`.
        blocks: residual blocks (resnet) or hidden layers (mlp), at least 1.
        channels: channels of the tower (resnet) or units of a layer (mlp), at least 1.
        block: "basic" (two 3x3 convolutions), "bottleneck" (1x1, 3x3, 3x3, 1x1 at half width),
            "nested" (1x1, two basic blocks at half width, 1x1), or "transformer" (attention between
            all cells, then a hidden layer for each cell). Resnet only.
        groups: groups into which the channels of 3x3 convolutions are divided, at least 1; it must
            divide them evenly (Xie et al., "Aggregated Residual Transformations for Deep Neural
            Networks", 2017, section 3). 1 does not divide them.
        attention_every: n makes every n-th block of a tower a transformer block, whatever `block`
            says; 0 makes none.
        squeeze_excitation: whether each block gates its channels by their global mean
            (Hu et al., "Squeeze-and-Excitation Networks", 2018, section 3).
        global_pooling: whether each block adds a bias computed from the mean and maximum over the
            board (Wu, "Accelerating Self-Play Learning in Go", 2019, section 3.3).
        norm: "none" (residual branches start at zero), or "layer" (over all channels of one
            cell). Neither keeps statistics, so search and training see the same function.
        value_head: "wdl" (win, draw, loss probabilities) or "scalar" (tanh).
        dtype: of activations, in play and in updates: "float32", "bfloat16", or "auto" for
            bfloat16 on accelerators and float32 on CPU cores, which each process decides for
            itself. Weights and the last layers of policy and value are always float32.

    >>> NetworkConfig(blocks=6, channels=64).blocks
    6
    """

    kind: str = "auto"
    module: str = ""
    blocks: int = 4
    channels: int = 32
    block: str = "basic"
    groups: int = 1
    attention_every: int = 0
    squeeze_excitation: bool = False
    global_pooling: bool = True
    norm: str = "none"
    value_head: str = "wdl"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        check_choice("network.kind", self.kind, ("auto", "resnet", "mlp"))
        check_range("network.blocks", self.blocks, low=1)
        check_range("network.channels", self.channels, low=1)
        check_choice("network.block", self.block, BLOCKS)
        check_range("network.groups", self.groups, low=1)
        if self.inner_channels % self.groups:
            raise ConfigError(
                f"network.groups is {self.groups}, but must divide the {self.inner_channels} "
                f"channels inside a {self.block} block",
                hint="choose network.channels and network.groups to fit, for example both powers "
                "of 2",
            )
        check_range("network.attention_every", self.attention_every, low=0)
        check_choice("network.norm", self.norm, ("none", "layer"))
        check_choice("network.value_head", self.value_head, ("wdl", "scalar"))
        check_choice("network.dtype", self.dtype, ("auto", "float32", "bfloat16"))

    @property
    def inner_channels(self) -> int:
        """Returns the channels inside a block: half of the tower's in a bottleneck."""
        halved = self.block in ("bottleneck", "nested")
        return max(self.channels // 2, 1) if halved else self.channels
