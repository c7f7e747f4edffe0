"""Networks: shapes, options, heads, weights by name, precision, and a user's own modules."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from selfplay.errors import ConfigError
from selfplay.game import Game
from selfplay.mcts import network_evaluator
from selfplay.networks import Network, Prediction, build_network
from selfplay.registry import make
from selfplay.settings.sections import NetworkConfig

MODULE = '''
from flax import nnx
import jax.numpy as jnp
from selfplay.networks import Prediction


class Own(nnx.Module):
    """Two layers; what else it holds is up to the subclass."""

    def __init__(self, *, observation_shape, num_actions, auxiliary_shapes, config, rngs):
        height, width, planes = observation_shape
        self.hidden = nnx.Linear(height * width * planes, 8, rngs=rngs)
        self.policy = nnx.Linear(8, num_actions, rngs=rngs)
        self.names = tuple(auxiliary_shapes)

    def __call__(self, observations):
        hidden = nnx.relu(self.hidden(observations.reshape(observations.shape[0], -1)))
        value = jnp.tanh(hidden.sum(axis=-1))
        return Prediction(
            policy_logits=self.policy(hidden), value=value, value_logits=value[:, None],
            auxiliary={name: self.policy(hidden) for name in self.names},
        )


class WithBatchNorm(Own):
    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.norm = nnx.BatchNorm(8, rngs=keywords["rngs"])


class WithDropout(Own):
    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.dropout = nnx.Dropout(0.5, rngs=keywords["rngs"])


class WrongShape(Own):
    def __call__(self, observations):
        found = super().__call__(observations)
        return Prediction(
            policy_logits=found.policy_logits[:, 1:], value=found.value,
            value_logits=found.value_logits, auxiliary=found.auxiliary,
        )


class ReturnsATuple(Own):
    def __call__(self, observations):
        found = super().__call__(observations)
        return found.policy_logits, found.value


class NoModule:
    pass
'''


@pytest.fixture(scope="module")
def game() -> Game[Any]:
    return make("connect_four", rows=4, columns=5)


@pytest.fixture(scope="module")
def module_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("modules") / "own.py"
    path.write_text(MODULE)
    return path


def observations(game: Game[Any], count: int = 3) -> Array:
    state = jax.eval_shape(game.init, jax.random.key(0))
    shape = jax.eval_shape(game.observe, state).shape
    return jax.random.bernoulli(jax.random.key(9), 0.4, (count, *shape)).astype(jnp.float32)


def shaken(network: Network) -> dict[str, Array]:
    """Returns weights in which no layer is zero, as after some training."""
    weights = network.init(key=jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), len(weights))
    return {
        name: weight + 0.1 * jax.random.normal(key, weight.shape)
        for key, (name, weight) in zip(keys, weights.items(), strict=True)
    }


OPTIONS = [
    {},
    {"kind": "mlp"},
    {"kind": "mlp", "norm": "layer"},
    {"value_head": "scalar"},
    {"squeeze_excitation": True},
    {"global_pooling": False},
    {"block": "bottleneck"},
    {"block": "nested", "groups": 2},
    {"attention_every": 2},
    {"norm": "layer"},
    {"dtype": "bfloat16"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_predicts_the_right_shapes_from_its_own_weights(
    game: Game[Any], options: dict[str, Any]
) -> None:
    heads = {"next_policy": True, "soft_policy": True, "short_term_values": True}
    network = build_network(game, NetworkConfig(blocks=2, channels=8, **options), **heads)
    weights = shaken(network)
    found = jax.jit(network.apply)(weights, observations(game))
    outcomes = 1 if options.get("value_head") == "scalar" else 3
    assert found.policy_logits.shape == (3, 5)
    assert found.value.shape == (3,)
    assert found.value_logits.shape == (3, outcomes)
    shapes = {"next_policy": (3, 5), "soft_policy": (3, 5), "short_term_values": (3, 3)}
    assert {name: leaf.shape for name, leaf in found.auxiliary.items()} == shapes
    assert np.abs(found.auxiliary["short_term_values"]).max() <= 1
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(found))
    assert np.abs(found.value).max() <= 1
    # Weights are a flat dictionary of float32 arrays: what is saved is what comes back.
    saved = {name: np.asarray(leaf) for name, leaf in weights.items()}
    again = network.apply(jax.tree.map(jnp.asarray, saved), observations(game))
    np.testing.assert_allclose(found.policy_logits, again.policy_logits, rtol=2e-2, atol=2e-2)
    assert all(leaf.dtype == jnp.float32 for leaf in weights.values())


@pytest.mark.parametrize("option", ["squeeze_excitation", "global_pooling"])
def test_an_option_changes_what_is_computed(game: Game[Any], option: str) -> None:
    base = NetworkConfig(blocks=1, channels=8)
    options: list[dict[str, Any]] = [{option: on} for on in (False, True)]
    counts = [
        build_network(game, dataclasses.replace(base, **chosen)).num_weights() for chosen in options
    ]
    assert counts[1] > counts[0]


@pytest.mark.parametrize(("blocks", "channels", "count"), [(1, 8, 26_858), (4, 32, 112_106)])
def test_numbers_of_weights_are_pinned(blocks: int, channels: int, count: int) -> None:
    game = make("connect_four", threats=False)
    network = build_network(game, NetworkConfig(blocks=blocks, channels=channels))
    assert network.num_weights() == count


def test_a_fresh_network_has_no_opinion(game: Game[Any]) -> None:
    network = build_network(game, NetworkConfig(blocks=2, channels=8))
    found = network.apply(network.init(key=jax.random.key(3)), observations(game))
    np.testing.assert_array_equal(found.policy_logits, 0)
    np.testing.assert_array_equal(found.value, 0)


def test_weights_depend_on_the_key_alone(game: Game[Any]) -> None:
    network = build_network(game, NetworkConfig(blocks=1, channels=8))
    first, again, other = (network.init(key=jax.random.key(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["stem/kernel"], other["stem/kernel"])


def test_win_draw_loss_is_read_as_expected_result(game: Game[Any]) -> None:
    network = build_network(game, NetworkConfig(blocks=1, channels=8))
    found = network.apply(shaken(network), observations(game))
    chances = jax.nn.softmax(found.value_logits, axis=-1)
    np.testing.assert_allclose(found.value, chances[:, 0] - chances[:, 2], atol=1e-6)


def test_declared_targets_get_heads() -> None:
    network = build_network(make("othello", size=4), NetworkConfig(blocks=1, channels=8))
    found = network.apply(shaken(network), observations(make("othello", size=4)))
    assert found.auxiliary["ownership"].shape == (3, 4, 4)
    assert found.auxiliary["score_margin"].shape == (3,)
    assert all(np.abs(leaf).max() <= 1 for leaf in found.auxiliary.values())


def test_no_declared_targets_no_heads(game: Game[Any]) -> None:
    network = build_network(game, NetworkConfig(blocks=1, channels=8))
    assert network.auxiliary_shapes == {}


@pytest.mark.parametrize("name", ["next_policy", "soft_policy", "short_term_values"])
def test_the_names_of_extra_heads_are_reserved(name: str) -> None:
    class Clashing(type(make("tic_tac_toe"))):  # type: ignore[misc]
        def auxiliary_targets(self, state: Any, final_state: Any) -> dict[str, Array]:
            return {name: jnp.zeros(9)}

    with pytest.raises(ConfigError, match=f"'{name}', but that name is taken"):
        build_network(Clashing(), NetworkConfig())


def test_bfloat16_is_close_to_float32(game: Game[Any]) -> None:
    exact = build_network(game, NetworkConfig(blocks=3, channels=16))
    rough = build_network(game, NetworkConfig(blocks=3, channels=16, dtype="bfloat16"))
    weights, seen = shaken(exact), observations(game, 16)
    a, b = exact.apply(weights, seen), rough.apply(weights, seen)
    np.testing.assert_allclose(
        jax.nn.softmax(a.policy_logits), jax.nn.softmax(b.policy_logits), atol=0.05
    )
    np.testing.assert_allclose(a.value, b.value, atol=0.05)
    assert not np.array_equal(a.policy_logits, b.policy_logits)


@pytest.mark.parametrize("kind", ["resnet", "mlp"])
@pytest.mark.parametrize(
    ("backend", "asked", "dtype"),
    [
        ("cpu", "auto", "float32"),
        ("gpu", "auto", "bfloat16"),
        ("tpu", "auto", "bfloat16"),
        ("gpu", "float32", "float32"),
        ("cpu", "bfloat16", "bfloat16"),
    ],
)
def test_accelerators_compute_in_bfloat16_and_cores_in_float32(
    monkeypatch: pytest.MonkeyPatch,
    game: Game[Any],
    backend: str,
    asked: str,
    dtype: str,
    kind: str,
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    network = build_network(game, NetworkConfig(kind=kind, blocks=1, channels=8, dtype=asked))
    weights = jax.eval_shape(lambda: network.init(key=jax.random.key(0)))
    assert all(leaf.dtype == jnp.float32 for leaf in weights.values())
    shape = jax.ShapeDtypeStruct((2, *network.observation_shape), jnp.float32)
    program = str(jax.make_jaxpr(network.apply)(weights, shape))
    assert ("bf16" in program) == (dtype == "bfloat16")


def test_a_row_does_not_depend_on_the_others(game: Game[Any]) -> None:
    network = build_network(game, NetworkConfig(blocks=2, channels=8, norm="layer"))
    weights, seen = shaken(network), observations(game, 4)
    alone = network.apply(weights, seen[1:2])
    together = network.apply(weights, seen)
    np.testing.assert_allclose(alone.value[0], together.value[1], rtol=1e-4, atol=1e-6)


def test_a_board_network_needs_a_board() -> None:
    class Flat(type(make("tic_tac_toe"))):  # type: ignore[misc]
        def observe(self, state: Any) -> Array:
            return super().observe(state).reshape(-1)

    with pytest.raises(ConfigError, match=r"network.kind is 'resnet', but the observation has 1"):
        build_network(Flat(), NetworkConfig(kind="resnet"))
    assert build_network(Flat(), NetworkConfig()).observation_shape == (18,)


def test_the_evaluator_is_the_network_on_observations(game: Game[Any]) -> None:
    network = build_network(game, NetworkConfig(blocks=1, channels=8))
    weights = shaken(network)
    states = jax.vmap(game.init)(jax.random.split(jax.random.key(0), 2))
    found = network_evaluator(game, network)(weights, states, key=jax.random.key(1))
    wanted = network.apply(weights, jax.vmap(game.observe)(states))
    np.testing.assert_array_equal(found.value, wanted.value)
    np.testing.assert_array_equal(found.policy_logits, wanted.policy_logits)


def test_a_users_module_is_accepted(game: Game[Any], module_file: Path) -> None:
    network = build_network(game, NetworkConfig(module=f"{module_file}:Own"), next_policy=True)
    found = network.apply(network.init(key=jax.random.key(0)), observations(game))
    assert isinstance(found, Prediction)
    assert found.auxiliary["next_policy"].shape == (3, 5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("WithBatchNorm", "holds norm/mean, which is not an nnx.Param"),
        ("WithDropout", "which is not an nnx.Param"),
        ("WrongShape", r"'policy_logits': \(2, 4\).*but must predict .*'policy_logits': \(2, 5\)"),
        ("ReturnsATuple", "returns tuple, but must return a selfplay Prediction"),
        ("NoModule", "must name a subclass of flax.nnx.Module"),
        ("Absent", "holds no Absent"),
    ],
)
def test_an_unusable_module_is_refused(
    game: Game[Any], module_file: Path, name: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network(game, NetworkConfig(module=f"{module_file}:{name}"))
