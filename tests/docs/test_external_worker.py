"""The example of a worker without selfplay: its matches are learnt from like any others."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from selfplay.networks import build_network
from selfplay.registry import GameSpec, make
from selfplay.replay import ReplayWindow
from selfplay.replay.rebuild import Rebuilder
from selfplay.run import RunDirectory
from selfplay.settings import Config, settings_hash
from selfplay.settings.sections import ReplayConfig

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "external_worker.py"


def test_it_does_without_selfplay() -> None:
    assert not re.search(r"(import|from) +(selfplay|jax|flax)", SCRIPT.read_text())


def test_its_matches_are_learnt_from(tmp_path: Path) -> None:
    game = make("tic_tac_toe")
    config = Config.from_dict({"network": {"kind": "mlp", "channels": 8, "blocks": 2}})
    run = RunDirectory.create(tmp_path / "run", GameSpec("tic_tac_toe"), game, config)
    network = build_network(game, config.network)
    random = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: network.init(key=jax.random.key(0)))
    weights = {
        name: random.normal(size=leaf.shape).astype(np.float32) for name, leaf in shapes.items()
    }
    run.checkpoints.save(3, {"weights": {name: np.zeros(1) for name in weights}})
    run.checkpoints.save(12, {"weights": weights})
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(run.path), "elsewhere", "5"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert "5 matches of checkpoint 12 in elsewhere/00000001.parquet" in done.stdout
    assert run.matches.after({}) == [("elsewhere", 0), ("elsewhere", 1)]
    matches = run.matches.get("elsewhere", 0) + run.matches.get("elsewhere", 1)
    assert len({match.match_id for match in matches}) == 10
    assert {match.settings_hash for match in matches} == {settings_hash(config)}
    window = ReplayWindow(game, ReplayConfig(min_window=90, max_window=90), run.fingerprint)
    assert window.ingest(matches) == sum(match.plies for match in matches)
    # It understood the weights: its values are those of the network.
    states = Rebuilder(game)(matches).states
    predicted = network.apply(jax.device_put(weights), jax.vmap(game.observe)(states))
    values = np.concatenate([match.raw_values for match in matches])
    np.testing.assert_allclose(values, predicted.value, atol=1e-4)
    assert np.ptp(values) > 0.01
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(values, -np.asarray(predicted.value), atol=1e-4)
