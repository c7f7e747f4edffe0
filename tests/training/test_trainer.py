"""A trainer that others play for: what it takes in, leaves out, waits for, and makes again."""

import dataclasses
import functools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.errors import RunError, StorageError
from selfplay.records import MatchRecord, read_matches
from selfplay.reports.rerun import largest_difference, rerun
from selfplay.run import MatchFiles, RunDirectory, read_heartbeats
from selfplay.runtime.components import Components
from selfplay.telemetry import Monitor
from selfplay.training.cursor import Cursor
from selfplay.training.trainer import Trainer, train
from selfplay.training.worker_matches import WorkerMatches
from tests.training.fixtures import MakeRun
from tests.training.runs import (
    Listener,
    everything,
    make_run,
    tiny_components,
    train_all,
    with_settings,
)

LEARNT = {"updates": 20, "checkpoint_updates": 8}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> list[list[MatchRecord]]:
    """Returns matches as a worker stores them, a list for each file."""
    run, components = make_run(
        tmp_path_factory.mktemp("played") / "run", tiny_components(), updates=40
    )
    train_all(run, components)
    return [read_matches(file) for file in sorted((run.path / "matches").glob("*/[0-9]*"))]


def as_worker(
    matches: Sequence[MatchRecord], worker: str, sequence: int, **changes: Any
) -> list[MatchRecord]:
    """Returns matches as if another worker had made them."""
    return [
        dataclasses.replace(
            match, worker=worker, match_id=f"{worker}-{sequence:08d}-{index:04d}", **changes
        )
        for index, match in enumerate(matches)
    ]


Store = Callable[..., int]


@pytest.fixture
def store(played: list[list[MatchRecord]]) -> Store:
    """Returns a function that stores files of a worker in a run; returns their positions."""

    def put(run: RunDirectory, worker: str, files: Sequence[int], **changes: Any) -> int:
        files_of_run = MatchFiles(run.path)
        positions = 0
        for index in files:
            sequence = files_of_run.next_sequence(worker)
            matches = as_worker(played[index], worker, sequence, **changes)
            assert files_of_run.put(worker, sequence, matches)
            positions += sum(match.plies for match in matches)
        return positions

    return put


def workers(idle_exit_seconds: float) -> Callable[..., WorkerMatches]:
    """Returns a source of matches that ends after so long without any."""
    return functools.partial(WorkerMatches, idle_exit_seconds=idle_exit_seconds)


def learn(run: RunDirectory, components: Components, listener: Listener | None = None) -> Trainer:
    """Trains without playing until there is nothing more to learn from."""
    return train(run, components, listener or Listener(), source=workers(0.6))


def same_state(left: Any, right: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(left), jax.device_get(right))


def test_it_learns_from_stored_files_alone(new_run: MakeRun, store: Store) -> None:
    run, components = new_run(updates=0, checkpoint_updates=8)
    positions = store(run, "a", range(4)) + store(run, "b", range(4, 8))
    listener = Listener()
    trainer = learn(run, components, listener)
    assert trainer.cursor.positions == positions
    assert trainer.update == int(positions * 2.0 / 16)
    assert trainer.cursor.next_files == {"a": 4, "b": 4}
    assert not list((run.path / "matches").glob("loop/*"))
    # Bounded by its plan, and its past can be made again.
    run, components = new_run("bounded", **LEARNT)
    store(run, "a", range(6))
    assert learn(run, components).update == 20
    assert run.checkpoints.latest() == 20
    reached: list[int] = []
    again = rerun(run, 20, progress=reached.append)
    same_state(again.state, run.checkpoints.load(20, "train_state", again.state))
    assert reached[-1] == 20
    assert largest_difference(again, 20) == 0.0
    # Also from a checkpoint on the way, whose past need not be there any more.
    earlier = run.checkpoints.updates()[-2]
    (run.path / "ledger/00000000.json").unlink()
    later = rerun(run, 20, start=earlier, progress=reached.append)
    assert reached[-1] == 20
    assert largest_difference(later, 20) == 0.0
    assert largest_difference(later, earlier) > 0.0
    with pytest.raises(RunError, match=r"has no ledger/00000000\.json"):
        rerun(run, 20)
    with pytest.raises(RunError, match="which is not an earlier one"):
        rerun(run, earlier, start=20)


def test_a_trainer_that_was_stopped_goes_on_as_if_nothing_had_happened(
    new_run: MakeRun, store: Store
) -> None:
    run, components = new_run("parts", updates=10, checkpoint_updates=8)
    store(run, "a", range(5))
    store(run, "b", range(5, 8))
    learn(run, components)
    run, components = new_run("parts", updates=0, checkpoint_updates=8)
    last = learn(run, components)
    whole_run, whole_parts = new_run("whole", updates=0, checkpoint_updates=8)
    store(whole_run, "a", range(5))
    store(whole_run, "b", range(5, 8))
    whole = learn(whole_run, whole_parts)
    assert last.cursor.next_files == whole.cursor.next_files == {"a": 5, "b": 3}
    assert last.update == whole.update
    assert last.learning.window.positions_made == whole.learning.window.positions_made
    # What came in which order is in the ledger of either.
    for one in (last, whole):
        same_state(rerun(one.run, one.update).state, one.state)


def test_the_loop_takes_in_what_workers_store(new_run: MakeRun, store: Store) -> None:
    run, components = new_run(updates=30)
    others = store(run, "a", range(6))
    trainer = train_all(run, components)
    own = sum(m.plies for f in (run.path / "matches/loop").glob("[0-9]*") for m in read_matches(f))
    assert trainer.cursor.positions == own + others
    assert trainer.cursor.next_files["a"] == 6
    same_state(rerun(run, 30).state, trainer.state)
    run, components = new_run(updates=40)
    again = Trainer(run, components, Listener())
    assert everything(again)["cursor"] == everything(trainer)["cursor"]
    np.testing.assert_array_equal(
        everything(again)["window"].outcomes, everything(trainer)["window"].outcomes
    )


def test_what_must_not_be_learnt_from_is_counted_and_left_out(
    new_run: MakeRun, store: Store, played: list[list[MatchRecord]]
) -> None:
    run, components = new_run(updates=0, checkpoint_updates=8, max_staleness=10)
    good = store(run, "a", range(4))
    first = learn(run, components)
    assert first.update > 11
    listener = Listener()
    fresh = {"first_checkpoint": first.update, "last_checkpoint": first.update}
    store(run, "a", [4], last_checkpoint=first.update - 11)
    good += store(run, "a", [5], first_checkpoint=0, last_checkpoint=first.update)
    store(run, "b", [6], settings_hash="0" * 12, **fresh)
    store(run, "c", [7], fingerprint="0" * 12, **fresh)
    good += store(run, "a", [6], **fresh)
    folder = run.path / "matches" / "d"
    folder.mkdir()
    file = run.path / "matches" / "a" / "00000000.parquet"
    (folder / "00000000.parquet").write_bytes(file.read_bytes()[:-9])
    # The same matches under another number.
    shutil.copy(file, folder / "00000001.parquet")
    trainer = learn(run, components, listener)
    assert trainer.cursor.positions == good
    assert trainer.cursor.left_out == {
        "stale": len(played[4]), "foreign": len(played[6]) + len(played[0]),
    }  # fmt: skip
    assert trainer.cursor.damaged_files == 2
    assert trainer.cursor.next_files == {"a": 7, "b": 1, "c": 1, "d": 2}
    refused = sorted(str(f.relative_to(run.path)) for f in run.path.glob("refused/*/*.parquet"))
    assert refused == ["refused/c/00000000.parquet", "refused/d/00000000.parquet"]
    assert any("left out" in line for line in listener.messages)
    # The next session does not count them again.
    assert Trainer(run, components, Listener()).cursor.left_out == trainer.cursor.left_out
    progress = trainer.progress()
    assert {
        reason: progress.metrics[f"{reason}_matches"] for reason in ("stale", "foreign")
    } == trainer.cursor.left_out
    assert progress.metrics["staleness_updates"] is not None


def test_other_settings_are_taken_where_that_is_wanted(new_run: MakeRun, store: Store) -> None:
    run, components = new_run(updates=0, any_settings=True)
    positions = store(run, "a", range(4), settings_hash="0" * 12)
    assert learn(run, components).cursor.positions == positions


def test_it_takes_in_no_more_than_it_can_learn(new_run: MakeRun, store: Store) -> None:
    run, components = new_run(updates=0, max_backlog=50)
    store(run, "a", range(8))
    backlogs: list[int] = []

    class Watcher(Listener):
        def update(self, progress: Any) -> None:
            super().update(progress)
            backlogs.append(progress.metrics["backlog_positions"])

    trainer = learn(run, components, Watcher())
    assert trainer.cursor.next_files == {"a": 8}
    assert max(backlogs) > 50
    assert backlogs[-1] < 50


def test_a_starved_trainer_says_so(
    new_run: MakeRun, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfplay.training.worker_matches._SAY_SECONDS", 0.1)
    run, components = new_run(updates=0)
    states: list[tuple[Any, Any]] = []
    monitor = Monitor(role="trainer", id="trainer")

    class Watcher(Listener):
        def update(self, progress: Any) -> None:
            super().update(progress)
            for beat in read_heartbeats(run.store):
                states.append((beat.id, beat.fields["state"]))

    listener = Watcher()
    trainer = train(run, components, listener, source=workers(1.0), monitor=monitor)
    assert trainer.update == 0
    assert any("waiting for matches: is there a worker?" in line for line in listener.messages)
    assert ("trainer", "waiting for matches") in states
    assert trainer.progress().metrics["waiting_seconds"] > 0.5
    assert monitor.fields["starved_seconds"] >= 0


def test_a_store_that_is_away_for_a_while_is_waited_for(
    new_run: MakeRun, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, components = new_run(**LEARNT)
    store(run, "a", range(6))
    after, failures = MatchFiles.after, iter(range(2))

    def flaky(self: MatchFiles, cursor: Any, limit: int = 64) -> Any:
        if next(failures, None) is not None:
            raise StorageError("the store does not answer")
        return after(self, cursor, limit)

    monkeypatch.setattr(MatchFiles, "after", flaky)
    listener = Listener()
    # Its plan ends it; the time without matches must not, on a slow machine.
    trainer = train(run, components, listener, source=workers(120.0))
    assert trainer.update == 20
    assert listener.messages[0] == "the store does not answer; trying again"


def test_workers_rest_while_updates_are_made(new_run: MakeRun, store: Store) -> None:
    run, components = new_run(
        updates=0, suspend_workers=True, checkpoint_updates=0, replay_ratio=8.0
    )
    store(run, "a", range(8))
    told: list[bool] = []

    class Watcher(Listener):
        def update(self, progress: Any) -> None:
            told.extend(bool(b.fields["suspends"]) for b in read_heartbeats(run.store))

    trainer = learn(run, components, Watcher())
    assert {True, False} <= set(told)
    # Bursts leave less than one of them undone.
    assert 0 <= int(trainer.cursor.positions * 8.0 / 16) - trainer.update < 64


def test_a_checkpoint_of_an_earlier_version_can_be_gone_on_from() -> None:
    document = Cursor(sequence=3).to_json()
    for key in ("next_files", "left_out", "damaged_files", "segments"):
        del document[key]
    document["window"] = [[1, 2, 20], [2, 3, 30]]
    cursor = Cursor.from_json(document)
    assert cursor.window == [("loop", 1, 2, 20, 0.0, -1), ("loop", 2, 3, 30, 0.0, -1)]
    assert cursor.next_files == {"loop": 3}


def test_settings_may_change_between_sessions(
    new_run: MakeRun, store: Store, tmp_path: Path
) -> None:
    run, components = new_run(**LEARNT)
    store(run, "a", range(8))
    learn(run, components)
    components = with_settings(components, {"replay": {"max_window": 170}})
    run, _ = new_run(updates=30, checkpoint_updates=8)
    run.config = run.config.updated({"replay": {"max_window": 170}, "trainer": {"updates": 30}})
    components = with_settings(components, {"trainer": {"updates": 30}})
    trainer = learn(run, components)
    assert trainer.update == 30
    same_state(rerun(run, 30).state, trainer.state)
