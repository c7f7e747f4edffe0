"""A run over every store: made, resumed, trained by one; its checkpoints, heartbeats, ratings."""

import itertools
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.checkpoints import Checkpoints, open_checkpoints
from selfplay.errors import CheckpointError, RunError
from selfplay.game import Game
from selfplay.registry import GameSpec, make
from selfplay.run import (
    RunDirectory,
    append_evaluation,
    find_checkpoint,
    is_run,
    read_evaluation_matches,
    read_evaluations,
    read_heartbeats,
    remove_heartbeat,
    store_clock_offset,
    write_heartbeat,
)
from selfplay.settings import Config
from selfplay.store import Store, lease, open_store
from selfplay.store.files import process_space
from selfplay.store.lease import NAME, Lease
from selfplay.store.scratch import scratch_directory

SPEC = GameSpec("tic_tac_toe")


@pytest.fixture(scope="module")
def game() -> Game[Any]:
    return make("tic_tac_toe")


@pytest.fixture
def run(place: str, game: Game[Any]) -> RunDirectory:
    return RunDirectory.create(place, SPEC, game, Config())


@pytest.fixture
def elsewhere(place: str) -> str:
    """A place that is no directory."""
    if open_store(place).path is not None:
        pytest.skip("a directory has locks")
    return place


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SELFPLAY_CACHE", str(tmp_path / "scratch"))
    yield
    scratch_directory.cache_clear()


def weights(value: float) -> dict[str, Any]:
    return {"weights": {"w": np.full(1000, value), "none": np.zeros((0, 2))}}


def value(checkpoints: Checkpoints, update: int) -> float:
    return float(checkpoints.load(update, "weights")["w"][-1])


def test_a_run_is_made_found_and_resumed(place: str, game: Game[Any]) -> None:
    assert not is_run(place)
    with pytest.raises(RunError, match=r"does not exist|is not a selfplay run"):
        RunDirectory.open(place)
    made = RunDirectory.open_or_create(place, SPEC, game, {"search": {"num_simulations": 4}})
    assert is_run(place)
    assert made.url == open_store(place).url
    opened = RunDirectory.open(Path(place))
    assert opened.config == made.config
    assert opened.make_game().name == "tic_tac_toe"
    again = RunDirectory.open_or_create(place, SPEC, game, {"learner": {"batch_size": 8}})
    assert (again.config.search.num_simulations, again.config.learner.batch_size) == (4, 8)
    with pytest.raises(RunError, match="is a run already"):
        RunDirectory.create(place, SPEC, game, Config())


def test_a_place_with_other_content_is_refused(place: str, game: Game[Any]) -> None:
    store = open_store(place)
    store.write("thesis.tex", b"years of work")
    with pytest.raises(RunError, match="holds files that are not a selfplay run, such as thesis"):
        RunDirectory.open_or_create(place, SPEC, game)
    assert store.names() == ["thesis.tex"]


def test_a_damaged_run_file(run: RunDirectory) -> None:
    run.store.write("run.toml", b"[game")
    with pytest.raises(RunError, match=r"run.toml is damaged: Expected"):
        RunDirectory.open(run.store)


def test_checkpoints(run: RunDirectory) -> None:
    checkpoints = run.checkpoints
    assert (checkpoints.updates(), checkpoints.latest()) == ([], None)
    assert checkpoints.load_latest("weights") is None
    for update in (0, 10, 200):
        checkpoints.save(update, weights(update), metadata={"note": "x"})
    # As another process sees them.
    other = open_checkpoints(run.url)
    assert (other.updates(), other.latest()) == ([0, 10, 200], 200)
    assert [value(other, update) for update in (0, 10, 200)] == [0, 10, 200]
    assert other.load(10, "weights")["none"].shape == (0, 2)
    newest = other.load_latest("weights")
    assert newest is not None
    assert newest[0] == 200
    stored = other.metadata(10)
    assert (stored["update"], stored["note"], stored["game"]) == (10, "x", "tic_tac_toe")
    other.check_game(10, game="tic_tac_toe", fingerprint=run.fingerprint)
    assert find_checkpoint(run.url) == (run.url, 200)
    assert find_checkpoint(f"{run.url}@10") == (run.url, 10)
    with pytest.raises(CheckpointError, match="has no checkpoint 11"):
        other.load(11, "weights")
    with pytest.raises(CheckpointError, match="has no other, only weights"):
        other.load(10, "other")


def test_a_checkpoint_is_replaced(run: RunDirectory) -> None:
    run.checkpoints.save(5, weights(1))
    before = len(run.store.names("checkpoints"))
    for number in (2, 3, 4):
        run.checkpoints.save(5, weights(number))
        other = open_checkpoints(run.url)
        assert other.updates() == [5]
        assert value(other, 5) == number
    assert len(run.store.names("checkpoints")) == before


def test_pruning(run: RunDirectory) -> None:
    for update in range(6):
        run.checkpoints.save(update, weights(update))
    assert run.checkpoints.prune(keep_last=2, pinned_every=3, pinned=[1]) == [2]
    assert open_checkpoints(run.url).updates() == [0, 1, 3, 4, 5]
    assert not run.store.names("checkpoints/2")


def data_files(store: Store, update: int) -> list[str]:
    """Returns the largest file of a checkpoint's weights and those with the same content.

    Orbax writes arrays twice, and a node that has fetched one file has the content of both.
    """
    folder = f"checkpoints/{update}/weights"
    content = {entry.name: store.read(entry.name) for entry in store.entries(folder)}
    largest = max(content.values(), key=len)
    return [name for name, data in content.items() if data == largest]


def test_damage_is_found(run: RunDirectory) -> None:
    for update in (1, 2, 3, 4):
        run.checkpoints.save(update, weights(update))
    store = run.store
    for name in data_files(store, 1):
        data = store.read(name)
        store.write(name, data[:-1] + bytes([data[-1] ^ 1]))
    for name in data_files(store, 2):
        store.write(name, store.read(name)[:-1])
    for name in data_files(store, 3):
        store.delete(name)
    other = open_checkpoints(run.url)
    for update, words in ((1, "was altered"), (2, "bytes instead of"), (3, "is missing")):
        with pytest.raises(CheckpointError, match=f"is damaged: .*{words}") as caught:
            other.load(update, "weights")
        assert "use " in caught.value.hint
    assert value(other, 4) == 4
    store.write("checkpoints/4/manifest.json", b"{}")
    with pytest.raises(CheckpointError, match=r"manifest.json was altered"):
        other.metadata(4)


def test_without_its_manifest_a_checkpoint_is_not_there(run: RunDirectory) -> None:
    run.checkpoints.save(1, weights(1))
    run.checkpoints.save(2, weights(2))
    run.store.delete("checkpoints/2/manifest.json")
    other = open_checkpoints(run.url)
    assert (other.updates(), other.latest()) == ([1], 1)
    assert other.wait_for_newer(1, 0) is None


def test_waiting_for_a_newer_checkpoint(run: RunDirectory) -> None:
    reader = RunDirectory.open(run.url).checkpoints
    assert reader.wait_for_newer(None, 0) is None
    seen: list[int | None] = []
    waiting = threading.Thread(target=lambda: seen.append(reader.wait_for_newer(None, 120)))
    waiting.start()
    run.checkpoints.save(0, weights(0))
    waiting.join()
    assert seen == [0]
    assert reader.wait_for_newer(None, 0) == 0
    assert reader.wait_for_newer(0, 0) is None
    run.checkpoints.save(7, weights(7))
    run.checkpoints.save(9, weights(9))
    assert reader.wait_for_newer(0, 60) == 9


def test_heartbeats(run: RunDirectory) -> None:
    write_heartbeat(run.store, "worker", "b", {"checkpoint": 3})
    write_heartbeat(run.store, "trainer", "a", {"update": 4})
    run.store.write("heartbeats/worker-x.json", b"nonsense")
    run.store.write("heartbeats/notes.txt", b"foreign")
    beats = read_heartbeats(run.url)
    assert [(beat.role, beat.id, beat.alive) for beat in beats] == [
        ("trainer", "a", True),
        ("worker", "b", True),
    ]
    assert beats[1].fields == {"checkpoint": 3}
    remove_heartbeat(run.store, "worker", "b")
    assert len(read_heartbeats(run.store)) == 1


def test_the_store_says_when_a_checkpoint_was_published(run: RunDirectory) -> None:
    write_heartbeat(run.store, "worker", "w", {})
    run.checkpoints.save(5, weights(1.0))
    published = run.checkpoints.published_at(5)
    ahead = store_clock_offset(run.store, "worker", "w")
    assert published is not None and ahead is not None
    # On any machine it was today, by the clock of this one.
    assert abs(time.time() - (published - ahead)) < 86400
    assert run.checkpoints.published_at(6) is None


def test_ratings(run: RunDirectory) -> None:
    summary = {"update": 2, "opponent": "random", "score": 0.5}
    append_evaluation(run.store, summary, [{"opening": [1], "result": 1.0}])
    append_evaluation(run.store, summary, [{"opening": [1], "result": 1.0}])
    append_evaluation(run.store, {**summary, "update": 1})
    assert [row["update"] for row in read_evaluations(run.url)] == [1, 2]
    assert len(read_evaluation_matches(run.store)) == 1


def test_runs_on_one_store_stay_apart(place: str, game: Game[Any]) -> None:
    one, two = (
        RunDirectory.create(where, SPEC, game, Config()) for where in (place, f"{place}-two")
    )
    one.checkpoints.save(1, weights(1))
    two.checkpoints.save(2, weights(2))
    two.matches.put_encoded("w", 0, b"x")
    write_heartbeat(two.store, "worker", "w", {})
    assert (one.checkpoints.updates(), two.checkpoints.updates()) == ([1], [2])
    assert one.matches.workers() == []
    assert read_heartbeats(one.store) == []


def test_files_of_the_scratch_directory_are_published(
    elsewhere: str, game: Game[Any], tmp_path: Path
) -> None:
    run = RunDirectory.create(elsewhere, SPEC, game, Config())
    assert tmp_path in run.path.parents
    events = run.tensorboard_path / "events"
    events.write_bytes(b"1")
    run.publish_files("tensorboard")
    assert run.store.read("tensorboard/events") == b"1"
    run.store.write("tensorboard/events", b"as it was")
    run.publish_files("tensorboard")
    assert run.store.read("tensorboard/events") == b"as it was"
    events.write_bytes(b"12")
    run.publish_files("tensorboard")
    assert run.store.read("tensorboard/events") == b"12"
    # Another process, with another directory, can read them.
    scratch_directory.cache_clear()
    reader = RunDirectory.open(elsewhere)
    reader.fetch_files("tensorboard")
    assert reader.path != run.path
    mirrored = reader.tensorboard_path / "events"
    assert mirrored.read_bytes() == b"12"
    # What has grown is added at the end: TensorBoard keeps the file open.
    before = mirrored.stat().st_ino
    events.write_bytes(b"123")
    run.publish_files("tensorboard")
    reader.fetch_files("tensorboard")
    assert (mirrored.read_bytes(), mirrored.stat().st_ino) == (b"123", before)
    run.store.delete("tensorboard/events")
    reader.fetch_files("tensorboard")
    assert mirrored.read_bytes() == b"123"


def test_only_one_process_trains_a_run_elsewhere(
    elsewhere: str, game: Game[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory.create(elsewhere, SPEC, game, Config())
    store = open_store(elsewhere)
    # As if each asked from a host of its own.
    spaces = itertools.count()
    monkeypatch.setattr(lease, "process_space", lambda: f"host.{next(spaces)}")
    with (
        Lease(run.store, silence_seconds=2.0),
        # The holder renews it four times in that span; the other needs to see it once.
        pytest.raises(RunError, match=r"another process .* is training"),
        Lease(store, silence_seconds=600),
    ):
        pass
    assert not store.exists(NAME)
    with run.lock():
        assert store.exists(NAME)


def test_a_holder_known_to_be_dead_is_not_waited_for(elsewhere: str, game: Game[Any]) -> None:
    run = RunDirectory.create(elsewhere, SPEC, game, Config())
    waits: list[str] = []
    for pid in (2**22 + 1, os.getpid()):
        holder = {"id": "x", "pid": pid, "host": "h", "process_space": process_space()}
        run.store.write(NAME, json.dumps(holder).encode())
        with Lease(run.store, silence_seconds=600, on_wait=waits.append):
            pass
    assert waits == []


def test_a_silent_holder_is_replaced_and_may_not_publish(elsewhere: str, game: Game[Any]) -> None:
    run = RunDirectory.create(elsewhere, SPEC, game, Config())
    store = open_store(elsewhere)
    store.write(NAME, b'{"id": "of a killed process", "pid": 77, "host": "h"}')
    waits: list[str] = []
    with Lease(store, silence_seconds=0.5, on_wait=waits.append):
        pass
    assert "pid 77 on h was training" in waits[0]
    with run.lock():
        run.checkpoints.save(1, weights(1))
        # Somebody took it over while this process was stopped.
        store.write(NAME, b'{"id": "other", "pid": 78, "host": "h"}')
        with pytest.raises(RunError, match="was taken over by pid 78 on h"):
            run.checkpoints.save(2, weights(2))
    assert open_checkpoints(elsewhere).updates() == [1]
    assert store.read(NAME) == b'{"id": "other", "pid": 78, "host": "h"}'


def test_what_a_killed_writer_uploaded_is_cleared(elsewhere: str, game: Game[Any]) -> None:
    run = RunDirectory.create(elsewhere, SPEC, game, Config())
    run.store.write("checkpoints/3/weights/half", b"x")
    run.store.write("checkpoints/9/weights/half", b"x")
    assert run.checkpoints.updates() == []
    run.checkpoints.save(5, weights(5))
    with run.lock():
        pass
    folders = run.store.folders("checkpoints")
    # Beyond the newest one somebody may be writing.
    assert folders == ["5", "9"]
    run.checkpoints.save(9, weights(9))
    assert "checkpoints/9/weights/half" not in run.store.names("checkpoints/9")
    assert value(open_checkpoints(elsewhere), 9) == 9


def test_waiting_for_what_never_comes_ends() -> None:
    begin = time.monotonic()
    assert open_checkpoints("/nonexistent/run").wait_for_newer(None, 0.01) is None
    assert time.monotonic() >= begin + 0.01
