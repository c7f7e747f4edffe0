"""Growing a network: the same function, in more weights that all can learn."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from selfplay.networks import Weights, build_network, grow, growth_obstacle
from selfplay.registry import make
from selfplay.settings.sections import NetworkConfig

GAME: Any = make("othello", size=4)
SMALL: dict[str, Any] = {"blocks": 1, "channels": 8}
OPTIONS: list[dict[str, Any]] = [
    {"squeeze_excitation": True, "block": "bottleneck", "value_head": "scalar"},
    {"block": "nested"},
    {"kind": "mlp"},
]
LARGER: dict[str, Any] = {"blocks": 2, "channels": 14}


def shaken(weights: Weights) -> Weights:
    random = np.random.default_rng(0)
    return {
        name: leaf + 0.1 * random.standard_normal(leaf.shape).astype(np.float32)
        for name, leaf in weights.items()
    }


def network(config: NetworkConfig) -> Any:
    return build_network(GAME, config, next_policy=True, short_term_values=True)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_larger_network_computes_the_same(options: dict[str, Any]) -> None:
    old = NetworkConfig(**SMALL, **options)
    new = NetworkConfig(**LARGER, **options)
    assert growth_obstacle(old, new) is None
    small, large = network(old), network(new)

    # Compiled as a whole: one by one, its small parts take longer.
    @jax.jit
    def compute(key: Array) -> Any:
        weights = shaken(small.init(key=key))
        grown = grow(weights, large.init(key=jax.random.fold_in(key, 1)), old, new)
        seen = jax.random.bernoulli(jax.random.fold_in(key, 2), 0.4, (3, *small.observation_shape))
        seen = seen.astype(jnp.float32)

        def values(grown: Weights) -> Any:
            found = large.apply(grown, seen)
            return jnp.sum(found.value), found

        gradient, after = jax.grad(values, has_aux=True)(grown)
        return small.apply(weights, seen), after, grown, gradient

    before, after, grown, gradient = compute(jax.random.key(0))
    wanted = jax.eval_shape(lambda: large.init(key=jax.random.key(1)))
    assert {name: leaf.shape for name, leaf in grown.items()} == {
        name: leaf.shape for name, leaf in wanted.items()
    }
    assert np.abs(before.policy_logits).max() > 0.1
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4),
        before, after,
    )  # fmt: skip
    # What is new learns: weights that read it are zero, their gradients are not.
    # The last inputs of the value head are new in both kinds of network.
    assert np.abs(gradient["heads/value_hidden/kernel"][-2:]).max() > 1e-6


def test_global_pooling_can_be_added() -> None:
    old = NetworkConfig(**SMALL, global_pooling=False)
    new = NetworkConfig(**SMALL)
    small, large = network(old), network(new)

    @jax.jit
    def compute(key: Array) -> Any:
        weights = shaken(small.init(key=key))
        grown = grow(weights, large.init(key=jax.random.fold_in(key, 1)), old, new)
        seen = jnp.ones((2, *small.observation_shape))
        return small.apply(weights, seen).value, large.apply(grown, seen).value, grown

    before, after, grown = compute(jax.random.key(0))
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert "blocks/0/pooled/kernel" in grown


def test_a_transformer_may_get_deeper() -> None:
    old = NetworkConfig(blocks=1, channels=8, block="transformer")
    new = NetworkConfig(blocks=2, channels=8, block="transformer")
    assert growth_obstacle(old, new) is None
    stored = jax.eval_shape(lambda: network(old).init(key=jax.random.key(0)))
    weights = {name: np.ones(leaf.shape, np.float32) for name, leaf in stored.items()}
    fresh = network(new).init(key=jax.random.key(1))
    grown = grow(jax.device_put(weights), fresh, old, new)
    assert grown.keys() == fresh.keys()
    for name, leaf in grown.items():
        wanted = fresh[name] if name.startswith("blocks/1/") else weights[name]
        np.testing.assert_array_equal(leaf, wanted)


@pytest.mark.parametrize(
    ("old", "new", "obstacle"),
    [
        ({"channels": 16}, {"channels": 8}, "is smaller"),
        ({"blocks": 3}, {"blocks": 2}, "is smaller"),
        ({}, {"value_head": "scalar"}, "has another network.value_head"),
        ({}, {"global_pooling": False}, "has no global pooling"),
        ({}, {"squeeze_excitation": True}, "has another network.squeeze_excitation"),
        ({"norm": "layer"}, {"norm": "layer", "channels": 64}, "normalises over all channels"),
        ({"attention_every": 2}, {"attention_every": 2, "channels": 64}, "normalises over all"),
        ({"groups": 2}, {"groups": 2, "channels": 64}, "channels are in groups"),
        ({"module": "a.py:B"}, {"module": "a.py:B", "blocks": 9}, "a module of your own"),
    ],
)
def test_what_cannot_grow_is_named(old: dict[str, Any], new: dict[str, Any], obstacle: str) -> None:
    assert obstacle in (growth_obstacle(NetworkConfig(**old), NetworkConfig(**new)) or "")
