"""The built-in networks: a residual tower for boards, a perceptron for anything."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32

from selfplay.game import pytree
from selfplay.networks.blocks import make_block
from selfplay.networks.layers import conv, linear, pool
from selfplay.settings.sections.network import NetworkConfig

_HEAD_CHANNELS = 8
_VALUE_UNITS = 64
_POLICIES = ("next_policy", "soft_policy")
"""Extra heads that predict a policy, as logits of all actions."""


@pytree
class Prediction:
    """The output of a network for `B` positions, from the side of the player to move.

    Attributes:
        policy_logits: unnormalised log-probabilities of all actions, not masked.
        value: expected result in [-1, 1].
        value_logits: of win, draw, loss [B, 3]; with a scalar value head, `value` before its
            tanh [B, 1].
        auxiliary: the prediction, in [-1, 1], of each target that the game declares, and that of
            the extra heads that were built: under "next_policy" the logits [B, A] of the policy
            one ply later (Wu, "Accelerating self-play learning in Go", 2019, section 3.4), under
            "soft_policy" those of a softer policy, under "short_term_values" averages of the
            values of the next plies, in [-1, 1].
    """

    policy_logits: Float32[Array, "B A"]
    value: Float32[Array, " B"]
    value_logits: Float32[Array, "B outcomes"]
    auxiliary: dict[str, Float32[Array, "B ..."]]


class ResidualTower(nnx.Module):
    """A residual tower with heads, for observations [height, width, planes]."""

    def __init__(
        self,
        *,
        observation_shape: tuple[int, ...],
        num_actions: int,
        auxiliary_shapes: Mapping[str, tuple[int, ...]],
        config: NetworkConfig,
        rngs: nnx.Rngs,
    ) -> None:
        height, width, planes = observation_shape
        self.dtype = jnp.dtype(config.dtype)
        self.stem = conv(planes, config.channels, 3, config, rngs=rngs)
        self.blocks = nnx.List(
            [
                make_block(config, index, (height, width), rngs=rngs)
                for index in range(config.blocks)
            ]
        )
        self.policy_conv = conv(config.channels, _HEAD_CHANNELS, 1, config, rngs=rngs)
        self.value_conv = conv(config.channels, _HEAD_CHANNELS, 1, config, rngs=rngs)
        flat = height * width * _HEAD_CHANNELS
        board_shapes = {
            name: shape for name, shape in auxiliary_shapes.items()
            if len(shape) >= 2 and shape[:2] == (height, width)
        }  # fmt: skip
        self.board_heads = nnx.Dict(
            {
                name: conv(config.channels, math.prod(shape[2:]), 1, config, rngs=rngs, zero=True)
                for name, shape in board_shapes.items()
            }
        )
        self.board_shapes = board_shapes
        self.heads = Heads(
            policy_features=flat + 2 * config.channels,
            value_features=flat + 2 * config.channels,
            num_actions=num_actions,
            auxiliary_shapes={
                name: shape for name, shape in auxiliary_shapes.items() if name not in board_shapes
            },
            config=config,
            rngs=rngs,
        )

    def __call__(self, observations: Float[Array, "B H W P"]) -> Prediction:
        """Returns the prediction for `B` observations."""
        board = self.stem(observations.astype(self.dtype))
        for block in self.blocks:
            board = block(board)
        board = nnx.relu(board)
        batch = board.shape[0]
        pooled = pool(board).astype(jnp.float32)
        policy, value = (
            jnp.concatenate(
                [nnx.relu(head(board)).reshape(batch, -1).astype(jnp.float32), pooled], axis=-1
            )
            for head in (self.policy_conv, self.value_conv)
        )
        maps = {
            name: jnp.tanh(head(board).astype(jnp.float32)).reshape(batch, *self.board_shapes[name])
            for name, head in self.board_heads.items()
        }
        return self.heads(policy, value, maps)


class Perceptron(nnx.Module):
    """A residual multilayer perceptron with heads, for observations of any shape."""

    def __init__(
        self,
        *,
        observation_shape: tuple[int, ...],
        num_actions: int,
        auxiliary_shapes: Mapping[str, tuple[int, ...]],
        config: NetworkConfig,
        rngs: nnx.Rngs,
    ) -> None:
        self.dtype = jnp.dtype(config.dtype)
        self.stem = linear(math.prod(observation_shape), config.channels, rngs=rngs)
        self.layers = nnx.List(
            [
                nnx.Linear(config.channels, config.channels, dtype=self.dtype, rngs=rngs)
                for _ in range(config.blocks)
            ]
        )
        self.norms = nnx.List(
            [nnx.LayerNorm(config.channels, rngs=rngs) for _ in range(config.blocks)]
            if config.norm == "layer"
            else []
        )
        self.heads = Heads(
            policy_features=config.channels,
            value_features=config.channels,
            num_actions=num_actions,
            auxiliary_shapes=auxiliary_shapes,
            config=config,
            rngs=rngs,
        )

    def __call__(self, observations: Float[Array, "B ..."]) -> Prediction:
        """Returns the prediction for `B` observations."""
        hidden = self.stem(observations.reshape(observations.shape[0], -1).astype(jnp.float32))
        for index, layer in enumerate(self.layers):
            inputs = self.norms[index](hidden) if len(self.norms) else hidden
            hidden = hidden + layer(nnx.relu(inputs)).astype(jnp.float32)
        features = nnx.relu(hidden)
        return self.heads(features, features, {})


class Heads(nnx.Module):
    """Policy, value and flat auxiliary heads over two feature vectors; always float32."""

    def __init__(
        self,
        *,
        policy_features: int,
        value_features: int,
        num_actions: int,
        auxiliary_shapes: Mapping[str, tuple[int, ...]],
        config: NetworkConfig,
        rngs: nnx.Rngs,
    ) -> None:
        self.policy = linear(policy_features, num_actions, rngs=rngs, zero=True)
        self.value_hidden = linear(value_features, _VALUE_UNITS, rngs=rngs)
        outcomes = 3 if config.value_head == "wdl" else 1
        self.value = linear(_VALUE_UNITS, outcomes, rngs=rngs, zero=True)
        # Other policies depend on the same features as the policy; other targets depend on the
        # outcome, as the value does.
        self.extra = nnx.Dict(
            {
                name: linear(
                    policy_features if name in _POLICIES else _VALUE_UNITS,
                    math.prod(shape), rngs=rngs, zero=True,
                )
                for name, shape in auxiliary_shapes.items()
            }
        )  # fmt: skip
        self.extra_shapes = dict(auxiliary_shapes)

    def __call__(
        self,
        policy_features: Float32[Array, "B F"],
        value_features: Float32[Array, "B G"],
        maps: Mapping[str, Float32[Array, "B ..."]],
    ) -> Prediction:
        """Returns the prediction.

        Args:
            policy_features: from which the policy follows.
            value_features: from which the value and other targets follow.
            maps: auxiliary predictions with the shape of the board, which go into the result.
        """
        hidden = nnx.relu(self.value_hidden(value_features))
        value_logits = self.value(hidden)
        auxiliary = dict(maps)
        for name, head in self.extra.items():
            if name in _POLICIES:
                auxiliary[name] = head(policy_features)
            else:
                auxiliary[name] = jnp.tanh(head(hidden)).reshape(-1, *self.extra_shapes[name])
        return Prediction(
            policy_logits=self.policy(policy_features),
            value=expected_result(value_logits),
            value_logits=value_logits,
            auxiliary=auxiliary,
        )


def expected_result(value_logits: Float32[Array, "B outcomes"]) -> Float32[Array, " B"]:
    """Returns the expected result in [-1, 1], for the player for whom the logits are.

    Args:
        value_logits: of win, draw and loss: then it is the probability of a win less that of a
            loss; or one number: then its tanh.
    """
    if value_logits.shape[-1] == 1:
        return jnp.tanh(value_logits[:, 0])
    chances = jax.nn.softmax(value_logits, axis=-1)
    return chances[:, 0] - chances[:, 2]
