"""Workers: the same matches again, newest weights in the middle of a match, rest, refusal."""

import dataclasses
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.checkpoints import Checkpoints
from selfplay.errors import ConfigError, RunError, StorageError
from selfplay.records import read_matches
from selfplay.replay import Rebuilder
from selfplay.reports.health import diagnose
from selfplay.reports.status import run_status
from selfplay.run import MatchFiles, RunDirectory, UnsentMatches, read_heartbeats, write_heartbeat
from selfplay.runtime.lifetime import Lifetime
from selfplay.settings import settings_hash
from selfplay.training.trainer import Trainer
from selfplay.training.worker_matches import WorkerMatches
from selfplay.workers import run_process
from selfplay.workers import worker as worker_module
from selfplay.workers.joining import Listeners, silent
from selfplay.workers.process_ids import claimed_id
from selfplay.workers.work import work
from selfplay.workers.worker import Worker, WorkerOptions
from tests.training.runs import Listener, make_run, tiny_components, train_all

PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run with the checkpoints 0 and 4; not to be changed."""
    path = tmp_path_factory.mktemp("worker") / "run"
    train_all(*make_run(path, tiny_components(), updates=4, checkpoint_updates=4))
    return path


@pytest.fixture
def run_path(template: Path, tmp_path: Path) -> Path:
    """Returns a run of its own with the checkpoint 0 alone and no matches."""
    path = tmp_path / "run"
    shutil.copytree(template, path)
    shutil.rmtree(path / "checkpoints" / "4")
    shutil.rmtree(path / "matches" / "loop")
    return path


def play(path: Path, lifetime: Lifetime, **options: Any) -> Worker:
    """Plays in this thread until the lifetime ends."""
    worker = work(str(path), WorkerOptions(jitter_seconds=0.0, **options), lifetime)
    assert worker is not None
    return worker


def files(path: Path) -> dict[str, bytes]:
    """Returns the files of matches of a run."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.glob("matches/*/[0-9]*.parquet"))
    }


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits for a condition, long enough for any machine."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def background() -> Iterator[Callable[..., tuple[threading.Thread, Lifetime, list[Worker]]]]:
    """Returns a function that starts a worker in a thread, ended after the test."""
    all_bounds: list[tuple[threading.Thread, Lifetime]] = []

    def start(path: Path, **options: Any) -> tuple[threading.Thread, Lifetime, list[Worker]]:
        lifetime = Lifetime()
        done: list[Worker] = []
        thread = threading.Thread(target=lambda: done.append(play(path, lifetime, **options)))
        all_bounds.append((thread, lifetime))
        thread.start()
        return thread, lifetime, done

    yield start
    for thread, lifetime in all_bounds:
        lifetime.stop()
        thread.join(PATIENCE_SECONDS)


def test_the_same_seed_plays_the_same_matches_byte_for_byte(run_path: Path, tmp_path: Path) -> None:
    other = shutil.copytree(run_path, tmp_path / "other")
    first = play(run_path, Lifetime(max_matches=30), id="w", seed=5)
    again = play(other, Lifetime(max_matches=30), id="w", seed=5)
    assert files(run_path) == files(other)
    assert first.lifetime.matches == again.lifetime.matches >= 30
    matches = [match for file in run_path.glob("matches/w/[0-9]*") for match in read_matches(file)]
    assert len({match.match_id for match in matches}) == len(matches) == first.lifetime.matches
    Rebuilder(first.components.game)(matches)
    run = RunDirectory.open(run_path)
    assert {(m.worker, m.fingerprint) for m in matches} == {("w", run.fingerprint)}
    assert read_heartbeats(run.store) == []
    # The same worker comes back: it plays on and repeats nothing.
    before = files(run_path)
    play(run_path, Lifetime(max_matches=10), id="w", seed=5)
    after = files(run_path)
    assert {name: after[name] for name in before} == before
    assert not set(before.values()) & {after[name] for name in after if name not in before}
    # Another seed, another worker: other matches.
    play(other, Lifetime(max_matches=10), id="v", seed=5)
    assert files(other)["matches/v/00000000.parquet"] not in before.values()


def test_a_dry_run_stores_nothing(run_path: Path) -> None:
    worker = play(run_path, Lifetime(max_matches=10), dry_run=True)
    assert worker.lifetime.matches >= 10
    assert files(run_path) == {}


def test_a_new_checkpoint_is_taken_up_in_the_middle_of_matches(
    run_path: Path, template: Path, background: Callable[..., Any]
) -> None:
    # One ply a chunk: every match lasts for many of them.
    settings = {"rollout": {"plies_per_chunk": 1}}
    thread, lifetime, done = background(run_path, id="w", settings=settings)
    wait_until(lambda: len(files(run_path)) > 2)
    shutil.copytree(template / "checkpoints" / "4", run_path / "checkpoints" / ".tmp-4-x")
    (run_path / "checkpoints" / ".tmp-4-x").rename(run_path / "checkpoints" / "4")

    def played() -> list[Any]:
        return [m for file in run_path.glob("matches/w/[0-9]*") for m in read_matches(file)]

    wait_until(lambda: any(match.first_checkpoint == 4 for match in played()))
    # How long that took is in its heartbeat as soon as it is known.
    wait_until(
        lambda: any(b.fields["pickup_seconds"] is not None for b in read_heartbeats(run_path))
    )
    lifetime.stop()
    thread.join(PATIENCE_SECONDS)
    assert done[0].checkpoints_used == [0, 4]
    fields = done[0].fields()
    assert fields["pickup_seconds"] >= 0
    assert fields["median_pickup_seconds"] == fields["worst_pickup_seconds"]
    both = [m for m in played() if (m.first_checkpoint, m.last_checkpoint) == (0, 4)]
    assert both
    # Nothing was cut short for it.
    Rebuilder(done[0].components.game)(both)


def test_chunks_that_keep_a_checkpoint_waiting_are_shortened(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = play(run_path, Lifetime(max_matches=30), id="v")
    assert usual.components.player.config.plies_per_chunk == 4
    monkeypatch.setattr(worker_module, "_LONGEST_CHUNK_SECONDS", 1e-9)
    worker = play(run_path, Lifetime(max_matches=30), id="w")
    assert worker.components.player.config.plies_per_chunk == 1
    # Nothing is cut short for it.
    played = [match for file in run_path.glob("matches/w/[0-9]*") for match in read_matches(file)]
    assert len(played) >= 30
    Rebuilder(worker.components.game)(played)
    # Who says how long a chunk is to be gets that.
    asked = play(
        run_path, Lifetime(max_matches=30), id="x", settings={"rollout": {"plies_per_chunk": 3}}
    )
    assert asked.components.player.config.plies_per_chunk == 3


def test_it_waits_for_the_run_and_its_first_checkpoint(
    template: Path, tmp_path: Path, background: Callable[..., Any]
) -> None:
    path = tmp_path / "late"
    background(path, id="w")
    time.sleep(0.1)
    shutil.copytree(template, tmp_path / "copy", ignore=shutil.ignore_patterns("[0-9]*", "loop"))
    (tmp_path / "copy").rename(path)
    # A probe and `selfplay status` see that it is there, and waits.
    wait_until(lambda: diagnose(path, "worker", id="w").healthy)
    assert "waiting for a checkpoint" in diagnose(path, "worker", id="w").text
    assert not diagnose(path, "worker", id="w", ready=True).healthy
    waiting = [one for one in run_status(path)["processes"] if one["role"] == "worker"]
    assert [(one["id"], one["alive"]) for one in waiting] == [("w", True)]
    assert files(path) == {}
    shutil.copytree(template / "checkpoints" / "0", path / "checkpoints" / ".tmp-0-x")
    (path / "checkpoints" / ".tmp-0-x").rename(path / "checkpoints" / "0")
    wait_until(lambda: bool(files(path)))


def test_the_first_weights_are_loaded_once(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[int, str]] = []
    real = Checkpoints.load

    def counted(self: Checkpoints, update: int, item: str, target: Any = None) -> Any:
        loaded.append((update, item))
        return real(self, update, item, target)

    monkeypatch.setattr(Checkpoints, "load", counted)
    play(run_path, Lifetime(max_matches=4))
    assert loaded == [(0, "weights")]


def test_without_anybody_it_leaves_after_a_while(tmp_path: Path) -> None:
    lifetime = Lifetime(idle_exit_seconds=0.3)
    assert work(str(tmp_path / "none"), WorkerOptions(jitter_seconds=0.0), lifetime) is None
    assert lifetime.reason == "nothing was heard for 0.3 seconds"


def test_who_waited_in_vain_is_not_missed(run_path: Path) -> None:
    shutil.rmtree(run_path / "checkpoints" / "0")
    lifetime = Lifetime(max_seconds=0.5)
    assert work(str(run_path), WorkerOptions(jitter_seconds=0.0), lifetime) is None
    assert "worker" not in {one.role for one in read_heartbeats(run_path)}


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"search": {"num_simulations": 99}}, "search.num_simulations is 4"),
        ({"rollout": {"random_opening_share": 0.9}}, "rollout.random_opening_share is 0.4"),
        ({"network": {"blocks": 3}}, "network.blocks is 1"),
    ],
)
def test_the_run_dictates_the_settings(
    run_path: Path, settings: dict[str, Any], refused: str
) -> None:
    with pytest.raises(ConfigError, match=refused) as caught:
        play(run_path, Lifetime(), settings=settings)
    assert "a worker chooses only search.tree, search.inference, rollout." in caught.value.hint
    assert files(run_path) == {}


def test_its_own_batch_and_equal_settings_are_accepted(run_path: Path) -> None:
    settings = {"search": {"num_simulations": 4}, "rollout": {"matches_per_device": 2}}
    worker = play(run_path, Lifetime(max_matches=4), id="w", settings=settings)
    assert worker.components.player.num_matches == 4
    # It makes no difference to what the records are.
    ours = read_matches(next(run_path.glob("matches/w/[0-9]*")))[0].settings_hash
    other = play(run_path, Lifetime(max_matches=4), id="v")
    theirs = read_matches(next(run_path.glob("matches/v/[0-9]*")))[0].settings_hash
    assert ours == theirs
    assert other.components.player.num_matches == 8


def test_it_chooses_what_computes_the_network(run_path: Path) -> None:
    settings = {"search": {"inference": "onnx"}}
    worker = play(run_path, Lifetime(max_matches=4), id="w", settings=settings)
    assert worker.components.inference.kind == "onnx"
    ours = read_matches(next(run_path.glob("matches/w/[0-9]*")))[0].settings_hash
    assert ours == settings_hash(RunDirectory.open(run_path).config)
    with pytest.raises(ConfigError, match="inference is 'magic', but must be one of: auto"):
        play(run_path, Lifetime(), settings={"search": {"inference": "magic"}})


def test_a_run_that_names_another_backend_can_be_joined(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = run_path / "run.toml"
    text = file.read_text()
    assert 'inference = "auto"' in text
    file.write_text(text.replace('inference = "auto"', 'inference = "onnx"'))
    assert play(run_path, Lifetime(max_matches=4)).components.inference.kind == "onnx"
    # As on a machine without ONNX Runtime.
    monkeypatch.setattr("selfplay.inference.onnx_backend._PACKAGES", ("no_such_package",))
    said: list[str] = []
    listeners = dataclasses.replace(silent("worker"), say=said.append)
    options = WorkerOptions(jitter_seconds=0.0)
    worker = work(str(run_path), options, Lifetime(max_matches=4), listeners)
    assert worker is not None
    assert worker.components.inference.kind == "xla"
    assert [text for text in said if "search.inference" in text] == [
        "the run has search.inference = onnx, but here ONNX Runtime is not installed: auto takes "
        "its place"
    ]
    assert any("with checkpoint 0, inference by xla" in text for text in said)


def test_more_matches_than_memory_holds_are_refused_before_anything_is_compiled(
    run_path: Path,
) -> None:
    settings = {"rollout": {"matches_per_device": 1_000_000_000}}
    with pytest.raises(ConfigError, match="of host memory, but there are") as caught:
        play(run_path, Lifetime(max_matches=4), settings=settings)
    assert caught.value.hint.startswith("lower rollout.matches_per_device: search tree of")
    assert "replay window" not in caught.value.hint


def test_an_id_belongs_to_one_worker(run_path: Path) -> None:
    run = RunDirectory.open(run_path)
    lifetime = Lifetime()
    with claimed_id(run, "worker", "w", lifetime=lifetime):
        with pytest.raises(RunError, match="another worker on this host has the id w"):
            play(run_path, Lifetime(), id="w")
        with (
            claimed_id(run, "worker", None, lifetime=lifetime) as one,
            claimed_id(run, "worker", None, lifetime=lifetime) as two,
            claimed_id(run, "evaluator", "w", lifetime=lifetime),
        ):
            assert one != two
    with (
        claimed_id(run, "worker", "w", lifetime=lifetime),
        pytest.raises(ConfigError, match="--id is 'a/b'"),
        claimed_id(run, "worker", "a/b", lifetime=lifetime),
    ):
        pass


def beat_from_elsewhere(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "elsewhere")
        write_heartbeat(run.store, "worker", "w", {})


def test_an_id_that_beats_on_another_host_is_refused(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory.open(run_path)
    beat_from_elsewhere(run, monkeypatch)

    class Beating(Lifetime):
        def sleep(self, seconds: float) -> None:
            beat_from_elsewhere(run, monkeypatch)

    with (
        pytest.raises(RunError, match="on elsewhere has the id w"),
        claimed_id(run, "worker", "w", lifetime=Beating()),
    ):
        pass


def test_an_id_that_fell_silent_on_another_host_is_free(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory.open(run_path)
    beat_from_elsewhere(run, monkeypatch)
    now = [0.0]

    class Waiting(Lifetime):
        def sleep(self, seconds: float) -> None:
            now[0] += seconds

    with claimed_id(run, "worker", "w", lifetime=Waiting(clock=lambda: now[0])) as id:
        assert id == "w"
    assert now[0] > 10


def say_of_trainer(run: RunDirectory, **fields: Any) -> None:
    write_heartbeat(run.store, "trainer", "trainer", fields)


def test_it_rests_while_the_trainer_is_far_behind(
    run_path: Path, background: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfplay.workers.trainer_watch._HEARTBEAT_SECONDS", 0.05)
    run = RunDirectory.open(run_path)
    limit = run.config.trainer.max_backlog
    say_of_trainer(run, backlog_positions=3 * limit)
    background(run_path, id="w")

    def state() -> str:
        return next(
            (str(b.fields.get("state")) for b in read_heartbeats(run.store) if b.id == "w"), ""
        )

    monkeypatch.setattr(run_process, "beat_seconds", lambda workers: 0.05)
    wait_until(lambda: state().startswith("waiting for the trainer"))
    # How far behind it is, not how far it may be.
    (behind,) = re.findall(r"is ([0-9,]+) positions behind$", state())
    assert 3 * limit <= int(behind.replace(",", "")) < 4 * limit
    resting = files(run_path)
    say_of_trainer(run, backlog_positions=0)
    wait_until(lambda: len(files(run_path)) > len(resting))
    assert state() == "playing" or state().startswith("waiting")


def test_it_rests_while_the_trainer_needs_the_accelerator_alone(
    run_path: Path, background: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfplay.workers.trainer_watch._HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(run_process, "beat_seconds", lambda workers: 0.05)
    run = RunDirectory.open(run_path)
    say_of_trainer(run, suspends=True)
    background(run_path, id="w")

    def state() -> str:
        beats = read_heartbeats(run.store)
        return next((str(beat.fields.get("state")) for beat in beats if beat.id == "w"), "")

    wait_until(lambda: state() == "resting while the trainer has the accelerator")
    resting = files(run_path)
    say_of_trainer(run, suspends=True)
    time.sleep(0.5)
    assert files(run_path) == resting
    say_of_trainer(run, suspends=False)
    wait_until(lambda: len(files(run_path)) > len(resting))


def test_in_a_large_fleet_the_matches_of_several_chunks_share_a_file(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    def ten_minutes(workers: int) -> float:
        told.append(workers)
        return 600.0

    monkeypatch.setattr(worker_module, "file_seconds", ten_minutes)
    worker = play(run_path, Lifetime(max_matches=30), id="w")
    assert len(told) > 2
    (file,) = files(run_path)
    matches = read_matches(run_path / file)
    assert len(matches) == worker.lifetime.matches >= 30
    assert [match.match_id for match in matches] == [
        f"w-00000000-{index:04d}" for index in range(len(matches))
    ]
    Rebuilder(worker.components.game)(matches)


def test_a_silent_trainer_is_not_buried_in_matches(
    run_path: Path, background: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody takes anything in: the worker stops by itself at the limit.
    shutil.rmtree(run_path / "checkpoints" / "0")
    run, components = make_run(run_path, tiny_components(), updates=4, max_backlog=300)
    with run.lock():
        trainer = Trainer(run, components, Listener(), source=WorkerMatches)
        trainer.learning.save({})
    monkeypatch.setattr(run_process, "beat_seconds", lambda workers: 0.05)
    thread, _, _ = background(run_path, id="w")

    def rests() -> bool:
        beats = [beat.fields for beat in read_heartbeats(run.store) if beat.id == "w"]
        return any(
            beat["state"].startswith("waiting for the trainer") and not beat["queue_files"]
            for beat in beats
        )

    wait_until(rests)
    stored = files(run_path)
    positions = sum(m.plies for name in stored for m in read_matches(run_path / name))
    # At most one chunk too many.
    assert 300 < positions <= 300 + 8 * 9
    time.sleep(0.5)
    assert files(run_path) == stored
    assert thread.is_alive()


def test_matches_that_cannot_be_stored_are_held_and_then_stored(
    run_path: Path, monkeypatch: pytest.MonkeyPatch, background: Callable[..., Any]
) -> None:
    put = MatchFiles.put_encoded
    down = threading.Event()
    down.set()

    def failing(self: MatchFiles, worker: str, sequence: int, data: bytes) -> bool:
        if down.is_set():
            raise StorageError("the disk is full")
        return put(self, worker, sequence, data)

    monkeypatch.setattr(MatchFiles, "put_encoded", failing)
    thread, lifetime, done = background(run_path, id="w")
    time.sleep(0.5)
    assert files(run_path) == {}
    down.clear()
    wait_until(lambda: bool(files(run_path)))
    lifetime.stop()
    thread.join(PATIENCE_SECONDS)
    matches = [m for file in run_path.glob("matches/w/[0-9]*") for m in read_matches(file)]
    assert len(matches) == done[0].lifetime.matches
    assert sorted(files(run_path)) == [
        f"matches/w/{n:08d}.parquet" for n in range(len(files(run_path)))
    ]


@pytest.fixture
def full(run_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Makes the store take no matches; returns a function that mends it."""
    monkeypatch.setattr(worker_module, "_FLUSH_SECONDS", 0.5)
    monkeypatch.setenv("SELFPLAY_CACHE", str(tmp_path / "cache"))
    put = MatchFiles.put_encoded

    def failing(self: MatchFiles, worker: str, sequence: int, data: bytes) -> bool:
        raise StorageError("the disk is full")

    monkeypatch.setattr(MatchFiles, "put_encoded", failing)
    return lambda: monkeypatch.setattr(MatchFiles, "put_encoded", put)


def test_matches_that_cannot_be_stored_at_the_end_are_stored_by_the_next_worker(
    run_path: Path, full: Callable[[], None]
) -> None:
    lines: list[str] = []
    listeners = Listeners(say=lines.append, monitor=silent("worker").monitor)
    options = WorkerOptions(id="w", jitter_seconds=0.0)
    worker = work(str(run_path), options, Lifetime(max_matches=3), listeners)
    assert worker is not None
    assert files(run_path) == {}
    assert "files of finished matches are kept in" in lines[-1]
    assert "the disk is full" in lines[-1]
    full()
    # Whatever its name is.
    listeners = Listeners(say=lines.append, monitor=silent("worker").monitor)
    options = WorkerOptions(id="other", jitter_seconds=0.0)
    work(str(run_path), options, Lifetime(max_matches=1), listeners)
    assert any(" files of matches that an earlier worker left here" in line for line in lines)
    stored = [m for file in run_path.glob("matches/w/[0-9]*") for m in read_matches(file)]
    assert len(stored) == worker.lifetime.matches
    assert len({m.match_id for m in stored}) == len(stored)


def test_matches_that_nothing_takes_are_said_to_be_lost(
    run_path: Path, full: Callable[[], None], tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(StorageError, match=r"files of finished matches are lost: the disk is full"):
        play(run_path, Lifetime(max_matches=3), id="w")


def test_a_worker_that_is_cut_off_keeps_its_matches(
    run_path: Path, full: Callable[[], None], background: Callable[..., Any]
) -> None:
    thread, lifetime, _ = background(run_path, id="w")
    run = RunDirectory.open(run_path)
    kept = UnsentMatches(run.url, run.created)

    def cut() -> bool:
        lifetime.last_act()
        return bool(kept.files())

    # What the signal does when the time is over, whatever the worker is doing.
    wait_until(cut)
    assert thread.is_alive()


def test_finished_matches_survive_sigkill(
    run_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SELFPLAY_CACHE", str(tmp_path / "cache"))
    run = RunDirectory.open(run_path)
    kept = UnsentMatches(run.url, run.created)
    command = [sys.executable, "-c", _STORE_AWAY, "worker", "--run", str(run_path), "--id", "w"]
    with subprocess.Popen([*command, "--jitter", "0"], stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: len(kept.files()) > 1)
        finally:
            process.kill()
    finished = [match for file in kept.files() for match in read_matches(file)]
    assert files(run_path) == {}
    play(run_path, Lifetime(max_matches=1), id="other")
    stored = [m for file in run_path.glob("matches/w/[0-9]*") for m in read_matches(file)]
    assert {m.match_id for m in stored} == {m.match_id for m in finished}
    assert kept.files() == []


_STORE_AWAY = """
import runpy
from selfplay.errors import StorageError
from selfplay.run import MatchFiles

def refuse(*arguments):
    raise StorageError("the store cannot be reached")

MatchFiles.put_encoded = refuse
runpy.run_module("selfplay", run_name="__main__")
"""


def test_what_it_says_of_itself(run_path: Path) -> None:
    lines: list[str] = []
    listeners = Listeners(say=lines.append, monitor=silent("worker").monitor)
    options = WorkerOptions(id="w", jitter_seconds=0.0)
    worker = work(str(run_path), options, Lifetime(max_matches=5), listeners)
    assert worker is not None
    assert listeners.monitor.id == "w"
    fields = listeners.monitor.fields
    assert fields["matches"] == worker.lifetime.matches
    assert fields["checkpoint"] == fields["newest_checkpoint"] == 0
    assert fields["matches_in_progress"] == 8
    assert any("plays for" in line for line in lines)
    assert any("matches" in line and "checkpoint 0" in line for line in lines)
