"""Builds the network of a game: pure functions of its weights."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Key

from selfplay.errors import ConfigError
from selfplay.game import Game
from selfplay.networks.modules import Perceptron, Prediction, ResidualTower
from selfplay.registry import load_object
from selfplay.settings.sections.learner import SHORT_TERM_HORIZONS
from selfplay.settings.sections.network import NetworkConfig

NEXT_POLICY = "next_policy"
SOFT_POLICY = "soft_policy"
SHORT_TERM_VALUES = "short_term_values"

Weights = dict[str, Array]
"""All trainable numbers of a network by name, such as "blocks/0/convolutions/1/kernel"."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A network as pure functions; it holds no weights.

    Attributes:
        observation_shape: of one observation, without the batch axis.
        auxiliary_shapes: shape of each auxiliary prediction, without the batch axis.
        make_module: takes `nnx.Rngs` and returns the flax module.
    """

    observation_shape: tuple[int, ...]
    auxiliary_shapes: Mapping[str, tuple[int, ...]]
    make_module: Callable[[nnx.Rngs], nnx.Module]

    def init(self, *, key: Key[Array, ""]) -> Weights:
        """Returns fresh weights; `key` is consumed."""
        state = nnx.state(self.make_module(nnx.Rngs(key)), nnx.Param)
        return {_name(path): variable.get_value() for path, variable in nnx.to_flat_state(state)}

    def apply(self, weights: Weights, observations: Array) -> Prediction:
        """Returns the prediction for observations [B, ...]."""
        prediction: Prediction = self.call_module(weights, observations)
        return prediction

    def call_module(self, weights: Weights, observations: Array) -> Any:
        """Returns what the module returns: a `Prediction`, unless a user's module is faulty."""
        graphdef, variables = self._structure
        filled = [(path, variable.replace(weights[_name(path)])) for path, variable in variables]
        return nnx.merge(graphdef, nnx.from_flat_state(filled))(observations)

    def weight_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Returns the shape and type of all weights by name."""
        return {_name(path): variable.get_value() for path, variable in self._structure[1]}

    def num_weights(self) -> int:
        """Returns the number of trainable numbers."""
        return sum(leaf.size for leaf in self.weight_shapes().values())

    @functools.cached_property
    def _structure(self) -> tuple[Any, list[tuple[Any, Any]]]:
        """The module without weights, and its variables by path; made once, as flax is slow."""
        graphdef, state = nnx.split(nnx.eval_shape(lambda: self.make_module(nnx.Rngs(0))))
        return graphdef, list(nnx.to_flat_state(state))


def build_network(
    game: Game[Any],
    config: NetworkConfig,
    *,
    next_policy: bool = False,
    soft_policy: bool = False,
    short_term_values: bool = False,
) -> Network:
    """Returns the network that `config` describes for `game`.

    A user's own module (`network.module`) is a class derived from `flax.nnx.Module`. It is
    called with the keywords `observation_shape`, `num_actions`, `auxiliary_shapes` (name to
    shape; "next_policy" and other extra heads among them if asked for), `config` and `rngs`;
    calling the object with observations [B, ...] must return a `Prediction`. It may hold
    `nnx.Param` variables only: running statistics would make search and training see different
    functions. The `dtype` of its `config` is never "auto".

    Args:
        game: gives shapes of observation, actions and auxiliary targets.
        config: the shape of the network.
        next_policy: whether to add a head for the policy one ply later.
        soft_policy: whether to add one for a softer policy.
        short_term_values: whether to add one for averages of the values of the next plies.

    Raises:
        ConfigError: the kind does not fit the observation, or the user's module is unusable.

    >>> import jax
    >>> from selfplay import NetworkConfig, make
    >>> game = make("tic_tac_toe")
    >>> network = build_network(game, NetworkConfig(kind="mlp", blocks=1, channels=8))
    >>> weights = network.init(key=jax.random.key(0))
    >>> observations = game.observe(game.init(jax.random.key(1)))[None]
    >>> network.apply(weights, observations).policy_logits.shape
    (1, 9)
    """
    config = dataclasses.replace(config, dtype=compute_dtype(config))
    state = jax.eval_shape(game.init, jax.random.key(0))
    observation_shape = jax.eval_shape(game.observe, state).shape
    targets = jax.eval_shape(game.auxiliary_targets, state, state)
    for name in (NEXT_POLICY, SOFT_POLICY, SHORT_TERM_VALUES):
        if name in targets:
            raise ConfigError(
                f"{game.name} declares an auxiliary target {name!r}, but that name is taken",
                hint="rename it in auxiliary_targets",
            )
    shapes = {name: tuple(target.shape) for name, target in targets.items()}
    if next_policy:
        shapes[NEXT_POLICY] = (game.num_actions,)
    if soft_policy:
        shapes[SOFT_POLICY] = (game.num_actions,)
    if short_term_values:
        shapes[SHORT_TERM_VALUES] = (len(SHORT_TERM_HORIZONS),)
    module_class = _module_class(config, len(observation_shape))
    network = Network(
        observation_shape=observation_shape,
        auxiliary_shapes=shapes,
        make_module=lambda rngs: module_class(
            observation_shape=observation_shape,
            num_actions=game.num_actions,
            auxiliary_shapes=shapes,
            config=config,
            rngs=rngs,
        ),
    )
    if config.module:
        _check_user_module(config.module, network, game.num_actions)
    return network


def compute_dtype(config: NetworkConfig) -> str:
    """Returns the type of activations in this process: "float32" or "bfloat16"."""
    if config.dtype != "auto":
        return config.dtype
    return "float32" if jax.default_backend() == "cpu" else "bfloat16"


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(str(part) for part in path)


def _module_class(config: NetworkConfig, rank: int) -> Callable[..., nnx.Module]:
    if config.module:
        module_class = load_object(config.module)
        if not (isinstance(module_class, type) and issubclass(module_class, nnx.Module)):
            raise ConfigError(
                f"network.module is {config.module!r}, but must name a subclass of flax.nnx.Module"
            )
        return module_class
    if config.kind == "resnet" and rank != 3:
        raise ConfigError(
            f"network.kind is 'resnet', but the observation has {rank} axes, not 3",
            hint="use network.kind=mlp, or observe boards as [height, width, planes]",
        )
    return ResidualTower if rank == 3 and config.kind != "mlp" else Perceptron


def _check_user_module(name: str, network: Network, num_actions: int) -> None:
    """Raises `ConfigError` unless it holds parameters alone and predicts the right shapes."""
    module = nnx.eval_shape(lambda: network.make_module(nnx.Rngs(0)))
    others = nnx.to_flat_state(nnx.state(module, nnx.Not(nnx.Param)))
    if others:
        raise ConfigError(
            f"network.module {name} holds {_name(others[0][0])}, which is not an nnx.Param",
            hint="running statistics and random streams would make search and training see "
            "different functions; use LayerNorm or GroupNorm instead of BatchNorm, and no dropout",
        )
    weights = jax.eval_shape(lambda: network.init(key=jax.random.key(0)))
    batch = jnp.zeros((2, *network.observation_shape), jnp.float32)
    prediction = jax.eval_shape(network.call_module, weights, batch)
    if not isinstance(prediction, Prediction):
        raise ConfigError(
            f"network.module {name} returns {type(prediction).__name__}, "
            "but must return a selfplay Prediction"
        )
    expected = {
        "policy_logits": (2, num_actions),
        "value": (2,),
        **{name: (2, *shape) for name, shape in network.auxiliary_shapes.items()},
    }
    found = {
        "policy_logits": prediction.policy_logits.shape,
        "value": prediction.value.shape,
        **{name: leaf.shape for name, leaf in prediction.auxiliary.items()},
    }
    if found != expected:
        raise ConfigError(
            f"network.module {name} predicts shapes {found}, but must predict {expected}"
        )
