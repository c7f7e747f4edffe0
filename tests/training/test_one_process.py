"""A trainer that plays itself does what its settings say, and stops where they say."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.errors import NonFiniteError, RunError
from selfplay.records import read_matches
from selfplay.replay import Rebuilder
from selfplay.run import RunDirectory, read_evaluations, read_heartbeats
from selfplay.runtime.components import Components
from selfplay.runtime.meter import Meter
from selfplay.settings.sections import EvaluationConfig
from selfplay.telemetry import Progress, read_scalars
from selfplay.training.evaluations import EvaluationSchedule
from selfplay.training.kept_checkpoints import prune_checkpoints
from selfplay.training.trainer import Trainer, train
from tests.conftest import Compilations
from tests.training.fixtures import MakeRun
from tests.training.runs import (
    SETTINGS,
    Listener,
    assert_same,
    everything,
    make_run,
    match_files,
    tiny_components,
    train_all,
    with_settings,
)

BATCH = SETTINGS["learner"]["batch_size"]


def test_the_replay_ratio_is_reached_and_never_exceeded(new_run: MakeRun) -> None:
    for ratio in (0.7, 3.0):
        run, components = new_run(f"ratio-{ratio}", replay_ratio=ratio, updates=40)
        listener = Listener()
        trainer = train_all(run, components, listener)
        for progress in listener.progress:
            assert progress.update * BATCH <= ratio * progress.positions
        # At the end, updates wait for nothing but positions: at most one chunk too many.
        assert trainer.update == 40
        assert trainer.progress().metrics["reuse"] == pytest.approx(ratio, rel=0.15)


def test_training_waits_for_the_first_positions(new_run: MakeRun) -> None:
    run, components = new_run()
    listener = Listener()
    train_all(run, components, listener)
    first = next(progress for progress in listener.progress if progress.update > 0)
    assert first.positions >= 100
    before = [progress for progress in listener.progress if progress.positions < 100]
    assert before
    assert all(progress.update == 0 for progress in before)


@pytest.mark.parametrize("updates", [1, 13, 24])
def test_it_ends_at_the_planned_update(new_run: MakeRun, updates: int) -> None:
    run, components = new_run(updates=updates)
    listener = Listener()
    trainer = train_all(run, components, listener)
    assert trainer.update == updates
    assert run.checkpoints.latest() == updates
    assert listener.closed
    assert listener.progress[-1].planned_fraction == 1.0


def test_it_ends_after_the_planned_minutes(new_run: MakeRun) -> None:
    run, components = new_run(updates=0, minutes=1 / 60)
    trainer = train_all(run, components)
    # A busy machine takes a while for the step that it is in.
    assert 1.0 <= trainer.elapsed < 120.0
    assert run.checkpoints.latest() == trainer.update


def test_the_plan_is_in_minutes_of_the_given_clock(new_run: MakeRun) -> None:
    run, components = new_run(updates=0, minutes=10)
    seconds = itertools.count(step=40.0)  # each look at the clock takes so long
    trainer = train(run, components, Listener(), clock=lambda: next(seconds))
    assert 600 <= trainer.elapsed < 1200
    assert trainer.update < 100


def test_the_first_checkpoint_is_there_before_any_update(new_run: MakeRun) -> None:
    run, components = new_run(keep_checkpoints=100)
    seen: list[list[int]] = []

    class Watcher(Listener):
        def update(self, progress: Any) -> None:
            seen.append(run.checkpoints.updates())

    train(run, components, Watcher())
    assert seen[0] == [0]
    assert run.checkpoints.updates() == [0, 8, 16, 24]


def test_the_newest_and_the_pinned_checkpoints_are_kept(new_run: MakeRun) -> None:
    run, components = new_run(
        checkpoint_updates=3, pinned_every_updates=10, keep_checkpoints=2, spread_checkpoints=0
    )
    train_all(run, components)
    # 0, 10 and 20 are pinned; 21 and 24 are the newest.
    assert run.checkpoints.updates() == [0, 10, 20, 21, 24]
    metadata = json.loads(
        (run.path / "checkpoints" / "24" / "metadata.json").read_text(),
        parse_constant=lambda name: pytest.fail(f"{name} is not JSON"),
    )
    assert metadata["cursor"]["sequence"] == len(match_files(run))


def test_older_checkpoints_are_kept_all_over_the_training(new_run: MakeRun) -> None:
    run, components = new_run(checkpoint_updates=2, keep_checkpoints=3, spread_checkpoints=3)
    train_all(run, components)
    # The first ones of 0 to 7, 8 to 15 and 16 to 23, and the newest ones.
    assert run.checkpoints.updates() == [0, 8, 16, 20, 22, 24]
    # With a limit of storage they take a tenth of it at most: here there is room for one.
    one = run.checkpoints.size(24)
    config = run.config.updated({"storage": {"max_bytes": 15 * one}})
    prune_checkpoints(run, config, 24)
    assert run.checkpoints.updates() == [0, 20, 22, 24]
    config = run.config.updated({"storage": {"max_bytes": 9 * one}})
    prune_checkpoints(run, config, 24)
    assert run.checkpoints.updates() == [20, 22, 24]


def test_checkpoints_come_every_so_many_updates(new_run: MakeRun) -> None:
    run, components = new_run(checkpoint_updates=5, keep_checkpoints=100, updates=22)
    train_all(run, components)
    assert run.checkpoints.updates() == [0, 5, 10, 15, 20, 22]


def test_what_plays_is_the_average_of_the_weights(
    new_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, components = new_run()
    trainer = Trainer(run, components, Listener())
    play, after_updates = components.player.play, 0

    def checked_play(params: Any, matches: Any, **others: Any) -> Any:
        nonlocal after_updates
        after_updates += trainer.update > 0
        for name, weight in trainer.state.average.items():
            np.testing.assert_array_equal(params[name], weight)
        return play(params, matches, **others)

    monkeypatch.setattr(components.player, "play", checked_play)
    trainer.train()
    assert after_updates > 2
    weights = run.checkpoints.load(24, "weights")
    for name, weight in trainer.state.average.items():
        node = weights
        for part in [name] if name in weights else name.split("/"):
            node = node[part]
        np.testing.assert_array_equal(node, weight)
        assert (np.asarray(weight) != np.asarray(trainer.state.weights[name])).any()


def test_the_records_are_whole_matches_of_the_run(new_run: MakeRun) -> None:
    run, components = new_run()
    trainer = train_all(run, components)
    matches = [
        match
        for file in sorted((run.path / "matches").rglob("*.parquet"))
        for match in read_matches(file)
    ]
    assert len(matches) == trainer.cursor.matches
    assert sum(match.plies for match in matches) == trainer.cursor.positions
    assert len({match.match_id for match in matches}) == len(matches)
    Rebuilder(components.game)(matches)
    assert {match.fingerprint for match in matches} == {run.fingerprint}
    assert {match.worker for match in matches} == {"loop"}
    assert all(
        match.first_checkpoint <= match.last_checkpoint <= trainer.update for match in matches
    )
    assert max(match.last_checkpoint for match in matches) > 0
    # Some begin at random, and are marked so; different matches have different starts.
    assert any(match.exploratory.any() for match in matches)
    assert any(not match.exploratory.any() for match in matches)
    assert len({match.start_key for match in matches}) == len(matches)


def test_nothing_is_compiled_after_the_warm_up(
    new_run: MakeRun, compilations: Compilations
) -> None:
    run, components = new_run(updates=8)
    train_all(run, components)
    run, components = new_run("second", updates=30)
    with compilations() as compiled:
        train_all(run, components)
    # Not even the replay of matches, which all windows of a game share.
    assert compiled == []


def test_a_stopped_run_saves_and_can_go_on(new_run: MakeRun) -> None:
    run, components = new_run(updates=0)

    class Stopper(Listener):
        trainer: Trainer | None = None

        def update(self, progress: Any) -> None:
            super().update(progress)
            if progress.update >= 10 and self.trainer is not None:
                self.trainer.stop()

        def ready(self, trainer: Trainer) -> None:
            self.trainer = trainer

    stopper = Stopper()
    trainer = train(run, components, stopper, on_ready=stopper.ready)
    assert trainer.update >= 10
    assert run.checkpoints.latest() == trainer.update
    assert (
        run.checkpoints.metadata(trainer.update)["cursor"]["iteration"] == trainer.cursor.iteration
    )


@pytest.mark.parametrize("poison", ["batch", "rate"])
def test_numbers_that_are_not_finite_stop_it_and_nothing_is_published(
    new_run: MakeRun, monkeypatch: pytest.MonkeyPatch, poison: str
) -> None:
    run, components = new_run(updates=20)
    trainer = Trainer(run, components, Listener())
    if poison == "batch":
        batches = trainer.learning.window.batches

        def poisoned(batch_size: int, *, seed: int, updates: list[int]) -> Any:
            samples = batches(batch_size, seed=seed, updates=updates)
            if 11 in updates:
                samples.search_values[updates.index(11), 3] = np.nan
            return samples

        monkeypatch.setattr(trainer.learning.window, "batches", poisoned)
    else:
        monkeypatch.setattr(
            "selfplay.training.learning.learning_rate",
            lambda config, *, update, **rest: float("inf") if update == 11 else 0.01,
        )
    with run.lock(), pytest.raises(NonFiniteError, match="not finite near update 1") as caught:
        trainer.train()
    assert "the newest checkpoint (8)" in caught.value.hint
    assert run.checkpoints.updates() == [0, 8]
    for item in ("weights", "train_state"):
        for leaf in jax.tree.leaves(run.checkpoints.load(8, item)):
            assert np.isfinite(leaf).all()
    # The same command goes on from there.
    monkeypatch.undo()
    assert train_all(run, components).update == 20


def test_two_processes_cannot_train_one_run(new_run: MakeRun) -> None:
    run, components = new_run()
    with run.lock(), pytest.raises(RunError, match="another process"):
        train_all(run, components)
    assert run.checkpoints.updates() == []


def test_heartbeat_and_event_files_follow(new_run: MakeRun) -> None:
    run, components = new_run()
    beats = []

    class Watcher(Listener):
        def update(self, progress: Any) -> None:
            super().update(progress)
            beats.extend(read_heartbeats(run.path))

    train(run, components, Watcher())
    assert beats
    # It has ended, so nobody is there any more.
    assert read_heartbeats(run.path) == []
    scalars = read_scalars(run.tensorboard_path)
    assert [point.step for point in scalars["loss/total"]][-1] == 24
    assert scalars["replay/reuse"][-1].value <= 2.0


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_evaluation_keeps_to_its_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = with_settings(
        tiny_components(),
        {"evaluation": {"enabled": True, "share": 0.1, "first_seconds": 20.0}},
    )
    run, components = make_run(tmp_path / "run", components, updates=120)
    clock = Clock()
    monkeypatch.setattr("selfplay.training.trainer.Meter", lambda **_: Meter(clock=clock))
    trainer = Trainer(run, components, Listener())
    begun: list[float] = []
    costs = iter([9.0] + [4.0] * 1000)

    def evaluate(weights: Any, *, opponent: str | None, **of: Any) -> None:
        if opponent is None:  # else it is one of those at the end
            begun.append(clock.now)
            clock.now += next(costs)

    play, learn = trainer._get_matches, trainer._learn

    def slow_play() -> None:
        play()
        clock.now += 5.0

    def slow_learn(count: int, time_share: float) -> None:
        learn(count, time_share)
        clock.now += 5.0

    monkeypatch.setattr(trainer, "_get_matches", slow_play)
    monkeypatch.setattr(trainer, "_learn", slow_learn)
    monkeypatch.setattr(trainer.strength, "evaluate", evaluate)
    with run.lock():
        trainer.train()
    spent = trainer.meter.seconds_in("evaluate")
    assert len(begun) > 3
    assert begun[0] >= 20.0
    # Spread over the time: each waits until the last one and the pause after it keep to the share.
    took = [9.0] + [4.0] * (len(begun) - 1)
    pauses = [later - (begin + t) for begin, later, t in zip(begun, begun[1:], took, strict=False)]
    assert pauses[0] >= 81.0
    assert all(36.0 <= pause < 36.0 + 5.0 for pause in pauses[1:])
    assert spent <= 0.1 * clock.now + 4.0


def test_evaluations_are_spread_over_the_time_however_short_they_are() -> None:
    clock = Clock()
    config = EvaluationConfig(first_seconds=20.0, interval_seconds=20.0, share=0.1)
    schedule = EvaluationSchedule(config, Meter(clock=clock))
    begun: list[float] = []
    while clock.now < 600:
        # The first one compiles, and is expected to: the others could have made up for it.
        if schedule.due(elapsed=clock.now, expected=0.5 if begun else 30.0):
            begun.append(clock.now)
            clock.now += 0.5
            schedule.ended(took=0.5)
        clock.now += 1.0
    assert begun[0] == 300.0
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert len(gaps) > 10 and all(20.5 <= gap <= 22.0 for gap in gaps)


@pytest.mark.parametrize(("seconds", "allowed"), [(29.0, 0.0), (31.0, 30.0), (3600.0, 360.0)])
def test_how_long_the_evaluation_at_the_end_may_take(seconds: float, allowed: float) -> None:
    clock = Clock()
    schedule = EvaluationSchedule(EvaluationConfig(share=0.1), Meter(clock=clock))
    clock.now = seconds
    assert schedule.final_seconds == pytest.approx(allowed)


def test_an_evaluation_is_broken_off_when_it_takes_far_longer_than_its_share() -> None:
    clock = Clock()
    schedule = EvaluationSchedule(EvaluationConfig(share=0.1), Meter(clock=clock))
    clock.now = 60.0
    assert schedule.limit(expected=0.0) == 20.0  # compiling alone may take that long
    assert schedule.limit(expected=25.0) == 50.0
    clock.now = 600.0
    assert schedule.limit(expected=0.0) == 120.0
    schedule.ended(took=120.0)
    assert schedule.limit(expected=120.0) == 240.0
    # What it took is made up for before the next one begins.
    clock.now = 600.0 + 9 * 120.0 - 1
    assert not schedule.due(elapsed=clock.now, expected=120.0)
    clock.now += 2
    assert schedule.due(elapsed=clock.now, expected=120.0)


def test_matches_that_would_never_end_do_not_hold_up_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EvaluationSchedule, "limit", lambda self, *, expected: 0.5)
    evaluation = {
        "enabled": True, "opponents": ("mcts:20000",), "matches": 2, "simulations": 2,
        "first_seconds": 0.0, "interval_seconds": 1000.0, "share": 1.0,
    }  # fmt: skip
    components = with_settings(tiny_components(), {"evaluation": evaluation})
    listener = Listener()
    trainer = train_all(*make_run(tmp_path / "run", components, updates=12), listener)
    assert trainer.update == 12
    assert trainer.strength.results == {} and not read_evaluations(trainer.run.path)
    # How long they would have taken is not known.
    assert trainer.strength.expected_seconds == 2.0
    assert "against mcts:20000 were broken off: 2 of them take about 2 s" in "".join(
        listener.messages
    )


def at_the_end(path: Path) -> Trainer:
    """Trains a run whose evaluations are not due before its end."""
    evaluation = {
        "enabled": True, "opponents": ("random", "mcts:2"), "matches": 2, "simulations": 2,
        "first_seconds": 1000.0,
    }  # fmt: skip
    components = with_settings(tiny_components(), {"evaluation": evaluation})
    return train_all(*make_run(path, components, updates=12))


def test_a_training_ends_with_its_strength(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Too short for one, then long enough.
    assert at_the_end(tmp_path / "short").strength.results == {}
    monkeypatch.setattr(EvaluationSchedule, "final_seconds", 300.0)
    trainer = at_the_end(tmp_path / "run")
    results = trainer.strength.results
    assert {name: one.update for name, one in results.items()} == {"random": 12, "mcts:2": 12}
    assert len(read_evaluations(trainer.run.path)) == 2
    # It is not part of the training.
    assert trainer.elapsed < trainer.meter.elapsed - trainer.meter.seconds_in("evaluate") + 1e-6
    # It changes nothing: the same weights come out, and the checkpoint was written before.
    quiet = train_all(*make_run(tmp_path / "quiet", tiny_components(), updates=12))
    assert_same(everything(trainer), everything(quiet))


def test_the_evaluation_at_the_end_keeps_to_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EvaluationSchedule, "final_seconds", 0.001)
    trainer = at_the_end(tmp_path / "run")
    assert trainer.strength.results == {}
    assert trainer.saved == 12


def test_strength_is_measured_and_stored(tmp_path: Path) -> None:
    components = with_settings(
        tiny_components(),
        {
            "evaluation": {
                "enabled": True,
                "opponents": ("random",),
                "matches": 4,
                "simulations": 4,
                "first_seconds": 0.0,
                "interval_seconds": 0.0,
                "share": 1.0,
            }
        },
    )
    run, components = make_run(tmp_path / "run", components, updates=16)
    listener = Listener()
    trainer = train_all(run, components, listener)
    results = read_evaluations(run.path)
    assert results
    for result in results:
        assert result["opponent"] == "random"
        assert result["matches"] == 4
        assert 0 <= result["low"] <= result["score"] <= result["high"] <= 1
        assert 0 < result["update"] <= trainer.update
    assert listener.progress[-1].metrics["strength"][0].opponent == "random"


def test_without_opponents_nothing_is_evaluated(tmp_path: Path) -> None:
    settings = {"enabled": True, "opponents": (), "first_seconds": 0.0, "share": 1.0}
    components = with_settings(tiny_components(), {"evaluation": settings})
    run, components = make_run(tmp_path / "run", components, updates=3)
    assert train_all(run, components).update == 3
    assert read_evaluations(run.path) == []


def test_evaluation_changes_nothing_in_training(tmp_path: Path) -> None:
    settings = {
        "enabled": True, "opponents": ("random",), "matches": 2, "simulations": 2,
        "first_seconds": 0.0, "interval_seconds": 0.0, "share": 1.0,
    }  # fmt: skip
    quiet = train_all(*make_run(tmp_path / "quiet", tiny_components(), updates=12))
    components = with_settings(tiny_components(), {"evaluation": settings})
    loud = train_all(*make_run(tmp_path / "loud", components, updates=12))
    assert loud.strength.results
    jax.tree.map(
        np.testing.assert_array_equal, jax.device_get(quiet.state), jax.device_get(loud.state)
    )


def test_a_run_stays_below_its_limit_and_can_go_on(new_run: MakeRun, tmp_path: Path) -> None:
    # Some more than what is never removed: two checkpoints and the matches of the window.
    limit = 420_000

    def limited(**trainer: int) -> tuple[RunDirectory, Components]:
        run, components = new_run(keep_checkpoints=2, **trainer)
        run.config = components.config.updated({"storage": {"max_bytes": limit}})
        return run, dataclasses.replace(components, config=run.config)

    class Scale(Listener):
        def update(self, progress: Progress) -> None:
            sizes.append(run.store.bytes_used())

    sizes: list[int] = []
    run, components = limited(updates=96)
    trainer = train_all(run, components, Scale())
    assert limit / 2 < max(sizes) <= limit
    assert trainer.cursor.sequence > len(match_files(run))
    segments = len(run.store.names("ledger"))
    assert 1 <= segments < trainer.cursor.segments
    run, components = limited(updates=104)
    assert train_all(run, components, Scale()).update == 104
    assert max(sizes) <= limit, max(sizes)


def test_a_limit_that_cannot_be_kept_is_said_once(new_run: MakeRun) -> None:
    run, components = new_run()
    run.config = components.config.updated({"storage": {"max_bytes": 1000}})
    listener = Listener()
    train_all(run, dataclasses.replace(components, config=run.config), listener)
    said = [text for text in listener.messages if "storage.max_bytes" in text]
    assert len(said) == 1
    assert "lower replay.max_window or trainer.keep_checkpoints" in said[0]
