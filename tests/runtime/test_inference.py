"""Training with the integer network and fast moves: calibrated as it goes, resumed bit for bit."""

import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from selfplay.registry import GameSpec
from selfplay.run import RunDirectory
from selfplay.runtime.components import Components, make_components
from selfplay.runtime.playing import Playing
from selfplay.settings import Config
from selfplay.training.trainer import Trainer
from tests.training.runs import SETTINGS, Listener, assert_same, everything, match_files, train_all

SPEC = GameSpec("tic_tac_toe")


@pytest.fixture(scope="module")
def components() -> Components:
    network = {"kind": "resnet", "blocks": 1, "channels": 4}
    settings = {
        "network": network,
        "search": {"inference": "onnx-int8"},
        "rollout": {"full_search_share": 0.5, "fast_simulations": 2},
    }
    return make_components(SPEC.make(), Config.from_dict(SETTINGS).updated(settings))


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfplay.inference.onnx_inference.FEWEST_SAMPLES", 20)


def session(path: Path, components: Components, updates: int) -> tuple[RunDirectory, Trainer]:
    """Trains a run up to `updates`."""
    settings = components.config.updated({"trainer": {"updates": updates}}).to_dict()
    run = RunDirectory.open_or_create(path, SPEC, components.game, settings)
    return run, train_all(run, dataclasses.replace(components, config=run.config), Listener())


def test_two_and_two_are_four_in_integers(tmp_path: Path, components: Components) -> None:
    whole_run, whole = session(tmp_path / "whole", components, 48)
    for updates in (8, 24, 48):
        run, last = session(tmp_path / "parts", components, updates)
    assert_same(everything(last), everything(whole))
    assert match_files(run) == match_files(whole_run)
    ranges, other = (one.checkpoints.load(48, "self_play")["ranges"] for one in (run, whole_run))
    assert len(ranges) > 0
    np.testing.assert_array_equal(ranges, other)
    # The trainer has asked for new files of this worker, in vain, and now asks less often.
    files = RunDirectory.open(run.path).matches
    matches = [match for entry in files.after({}) for match in files.get(*entry)]
    assert {tuple(set(match.simulations)) for match in matches} >= {(2, 4)}
    # Later weights were measured again.
    first = whole_run.checkpoints.load(8, "self_play")["ranges"]
    assert not np.array_equal(first, ranges)


@pytest.mark.slow
def test_searches_that_end_early_are_resumed_too(tmp_path: Path, components: Components) -> None:
    """With proven results, budgets by uncertainty and integers."""
    settings = {"search": {"proven": "one-ply", "scale_simulations": True, "num_simulations": 8}}
    others = make_components(SPEC.make(), components.config.updated(settings))
    whole_run, whole = session(tmp_path / "whole", others, 24)
    for updates in (8, 24):
        run, last = session(tmp_path / "parts", others, updates)
    assert_same(everything(last), everything(whole))
    assert match_files(run) == match_files(whole_run)
    files = RunDirectory.open(run.path).matches
    matches = [match for entry in files.after({}) for match in files.get(*entry)]
    assert any(match.proven.any() for match in matches)
    # Fast moves have two, and no full search fewer.
    full = np.concatenate([match.simulations[~match.fast & ~match.proven] for match in matches])
    assert full.min() >= 2 and full.max() == 8 and len(set(full.tolist())) > 2


def test_a_run_says_how_well_the_integers_agree(tmp_path: Path, components: Components) -> None:
    _, trainer = session(tmp_path / "run", components, 8)
    assert isinstance(trainer.reporter, Listener)
    said = [text for text in trainer.reporter.messages if "int8" in text]
    assert len(said) == 1
    assert said[0].startswith("plays in int8, beside float32: policy ")


def test_a_run_goes_on_where_nothing_is_calibrated(tmp_path: Path, components: Components) -> None:
    run, _ = session(tmp_path / "run", components, 8)
    config = components.config.updated({"search": {"inference": "xla"}})
    other = make_components(SPEC.make(), config)
    playing = Playing(
        other,
        other.provenance(run, "loop"),
        start_key=jax.random.key(0),
        play_key=jax.random.key(1),
    )
    playing.restore(run.checkpoints, 8, iteration=1)
    stored = playing.items()["self_play"]
    assert stored["ranges"].shape == (0, 2)
    # With a calibration due it would wait for each chunk before it begins the next.
    assert stored["calibrate_at"] == sys.maxsize
