"""A network comes back from a stored checkpoint, with every kind of block, norm and head."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.arena import load_network
from selfplay.networks import build_network
from selfplay.registry import GameSpec
from selfplay.run import RunDirectory
from selfplay.settings import Config
from selfplay.settings.sections import NetworkConfig
from tests.networks.test_networks import OPTIONS

SPEC = GameSpec("connect_four", {"rows": 4, "columns": 5})
GAME = SPEC.make()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_stored_network_comes_back_as_it_was(tmp_path: Path, options: dict[str, Any]) -> None:
    settings = NetworkConfig(blocks=2, channels=8, **options)
    config = dataclasses.replace(Config(), network=settings)
    run = RunDirectory.create(tmp_path / "run", SPEC, GAME, config)
    # As the trainer stores it, with a head that players do not need.
    trained = jax.eval_shape(
        build_network(GAME, settings, next_policy=True).init, key=jax.random.key(0)
    )
    random = np.random.default_rng(3)
    weights = {name: random.normal(size=leaf.shape).astype(leaf.dtype)
               for name, leaf in trained.items()}  # fmt: skip
    run.checkpoints.save(5, {"weights": weights})
    stored = load_network(f"{run.path}@5")
    assert stored.config.network == settings
    assert set(weights) - set(stored.weights) == {name for name in weights if "next_policy" in name}
    for name, leaf in stored.weights.items():
        assert leaf.dtype == weights[name].dtype
        np.testing.assert_array_equal(leaf, weights[name], err_msg=name)
    # The settings of the checkpoint make the network that these weights are of.
    seen = jax.ShapeDtypeStruct((3, *stored.network.observation_shape), np.float32)
    predicted = jax.eval_shape(stored.network.apply, stored.weights, seen)
    assert predicted.policy_logits.shape == (3, 5)
