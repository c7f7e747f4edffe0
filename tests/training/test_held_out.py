"""Matches kept out of training: never learnt from, the same ones after a restart."""

import math
from pathlib import Path
from typing import Any

import pytest

from selfplay.replay import is_held_out
from selfplay.replay.search_values import lambda_returns
from selfplay.reports.rerun import largest_difference, rerun
from selfplay.run import RunDirectory
from selfplay.runtime.components import Components
from selfplay.training.trainer import Trainer
from tests.training.runs import (
    Listener,
    assert_same,
    everything,
    make_run,
    tiny_components,
    train_all,
    with_settings,
)

SHARE = 0.2


def holding_out(path: Path, **trainer: Any) -> tuple[RunDirectory, Components]:
    components = with_settings(tiny_components(), {"replay": {"holdout_share": SHARE}})
    return make_run(path, components, **trainer)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return train_all(*holding_out(tmp_path_factory.mktemp("held") / "run", updates=40))


def test_they_are_counted_apart_and_not_learnt_from(trained: Trainer) -> None:
    stored = [
        match
        for file in trained.run.matches.entries()
        if file.sequence < trained.cursor.next_files["loop"]
        for match in trained.run.matches.get(file.worker, file.sequence)
    ]
    held = [match for match in stored if is_held_out(match.match_id, SHARE)]
    assert trained.cursor.held_out == len(held) > 0
    assert trained.cursor.matches == len(stored) - len(held)
    assert trained.cursor.positions == sum(m.plies for m in stored) - sum(m.plies for m in held)
    assert trained.learning.window.positions_made == trained.cursor.positions
    # What the searches said differs from match to match, so it tells which ones are drawn.
    samples = trained.learning.window.sample(4000, seed=1, update=0)
    drawn = set(samples.search_values.tolist())
    out = {match.match_id for match in held}
    values = [set(lambda_returns([match], [0.9])[:, 0].tolist()) for match in stored]
    learnt = [
        found for found, match in zip(values, stored, strict=True) if match.match_id not in out
    ]
    only_held = set().union(*values) - set().union(*learnt)
    assert len(only_held) > len(held)
    assert not drawn & only_held


def test_the_losses_are_in_the_metrics_and_in_every_checkpoint(trained: Trainer) -> None:
    metrics = trained.progress().metrics
    assert metrics["held_out_matches"] == trained.cursor.held_out
    found = trained.run.checkpoints.metadata(40)["held_out"]
    assert metrics["held_out_losses"] == found["held_out"]
    for name in ("policy", "value"):
        assert math.isfinite(found["held_out"][name]) and found["learnt"][name] > 0
        gap = found["held_out"][name] - found["learnt"][name]
        assert metrics["overfitting"][name] == pytest.approx(gap)


def test_two_and_two_are_four(tmp_path: Path, trained: Trainer) -> None:
    for updates in (13, 40):
        last = train_all(*holding_out(tmp_path / "parts", updates=updates))
    assert_same(everything(last), everything(trained))
    again = Trainer(last.run, last.components, Listener())
    assert_same(everything(again), everything(trained))
    assert again.learning.held_out.losses == last.learning.held_out.losses
    assert largest_difference(rerun(last.run, 40), 40) == 0.0


def test_the_share_may_change_in_the_course_of_a_run(tmp_path: Path) -> None:
    run, components = make_run(tmp_path / "run", tiny_components(), updates=16)
    before = train_all(run, components)
    assert before.cursor.held_out == 0
    assert before.progress().metrics["held_out_losses"] == {}
    run, components = holding_out(tmp_path / "run", updates=24)
    run.config = components.config
    # What was learnt from already stays in the window as it was.
    restored = Trainer(run, components, Listener())
    assert restored.learning.window.size == before.learning.window.size
    after = train_all(run, components)
    assert after.cursor.held_out > 0
    assert largest_difference(rerun(run, 24), 24) == 0.0


def test_the_same_updates_are_made_of_the_same_positions_without_a_share(tmp_path: Path) -> None:
    run, components = make_run(tmp_path / "run", tiny_components(), updates=8)
    trainer = train_all(run, components)
    assert "held_out" not in trainer.run.checkpoints.metadata(8)
    assert {file.holdout_share for file in trainer.cursor.window} == {0.0}
