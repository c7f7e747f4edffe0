"""Heartbeats: who is alive."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from selfplay.errors import ConfigError
from selfplay.run import (
    read_heartbeats,
    remove_heartbeat,
    store_clock_offset,
    write_heartbeat,
)
from selfplay.store.directory_store import DirectoryStore
from selfplay.store.store import Entry

NO_PROCESS = 2**22 + 1


def change(path: Path, *, stored_at: float | None = None, **fields: object) -> None:
    """Changes a heartbeat; it is stored at the time that it says itself unless told otherwise."""
    beat = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps(beat))
    when = beat["time"] if stored_at is None else stored_at
    os.utime(path, (when, when))


def test_write_and_read(tmp_path: Path) -> None:
    write_heartbeat(tmp_path, "worker", "b.1", {"checkpoint": 7, "matches_per_second": 1.5})
    write_heartbeat(tmp_path, "trainer", "a", {})
    trainer, worker = read_heartbeats(tmp_path)
    assert (trainer.role, trainer.id, worker.role, worker.id) == ("trainer", "a", "worker", "b.1")
    assert (worker.pid, worker.host, worker.alive) == (os.getpid(), socket.gethostname(), True)
    assert worker.fields == {"checkpoint": 7, "matches_per_second": 1.5}
    remove_heartbeat(tmp_path, "trainer", "a")
    remove_heartbeat(tmp_path, "trainer", "a")
    assert [beat.name for beat in read_heartbeats(tmp_path)] == ["worker b.1"]


def test_a_copy_stays_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy.json"
    write_heartbeat(tmp_path, "worker", "a", {"checkpoint": 6})
    assert not copy.exists()
    monkeypatch.setenv("SELFPLAY_HEARTBEAT_FILE", str(copy))
    write_heartbeat(tmp_path, "worker", "a", {"checkpoint": 7})
    assert copy.read_bytes() == (tmp_path / "heartbeats" / "worker-a.json").read_bytes()
    assert json.loads(copy.read_text())["checkpoint"] == 7
    # A process goes on where it cannot be written: here its folder is a file.
    monkeypatch.setenv("SELFPLAY_HEARTBEAT_FILE", str(copy / "copy.json"))
    write_heartbeat(tmp_path, "worker", "a", {"checkpoint": 8})
    assert read_heartbeats(tmp_path)[0].fields == {"checkpoint": 8}


def test_none(tmp_path: Path) -> None:
    assert read_heartbeats(tmp_path) == []


def test_dead_after_silence_or_without_process(tmp_path: Path) -> None:
    write_heartbeat(tmp_path, "worker", "a", {})
    file = tmp_path / "heartbeats" / "worker-a.json"
    then = read_heartbeats(tmp_path)[0].time

    def alive() -> bool:
        return read_heartbeats(tmp_path)[0].alive

    change(file, time=then - 100)
    assert alive()
    change(file, time=then - 121)
    assert not alive()
    change(file, time=then, pid=NO_PROCESS)
    assert not alive()
    # A process id of another host means nothing here.
    change(file, process_space="elsewhere.1")
    assert alive()


def test_a_wrong_clock_kills_nobody(tmp_path: Path) -> None:
    write_heartbeat(tmp_path, "worker", "a", {})
    file = tmp_path / "heartbeats" / "worker-a.json"
    now = time.time()

    def read() -> tuple[bool, int, int]:
        (beat,) = read_heartbeats(tmp_path)
        assert beat.ahead is not None
        return beat.alive, round(beat.age), round(beat.ahead)

    elsewhere = {"process_space": "elsewhere.1", "host": "elsewhere"}
    # Five minutes or a day behind: the store, here the file system, knows better.
    change(file, time=now - 300, stored_at=now - 5, **elsewhere)
    assert read() == (True, 5, -295)
    change(file, time=now - 86400, stored_at=now)
    assert read() == (True, 0, -86400)
    # Ahead: its own word counts no longer, and it is not alive for ever.
    change(file, time=now + 300, stored_at=now - 5)
    assert read() == (True, 5, 305)
    change(file, time=now + 300, stored_at=now - 130)
    assert read() == (False, 130, 430)
    # The clock of the store itself is behind.
    change(file, time=now - 5, stored_at=now - 300)
    assert read() == (True, 5, 295)


def test_if_the_clock_of_the_reader_is_ahead_watching_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(id: str, ago: float) -> None:
        write_heartbeat(tmp_path, "worker", id, {})
        now = time.time()
        file = tmp_path / "heartbeats" / f"worker-{id}.json"
        change(file, time=now - ago, process_space="elsewhere.1", host="elsewhere")

    for id in ("lives", "dead"):
        write(id, 300)
    assert [beat.alive for beat in read_heartbeats(tmp_path)] == [False, False]
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        write("lives", 299)

    monkeypatch.setattr("selfplay.run.heartbeats.time.sleep", sleep)
    dead, lives = read_heartbeats(tmp_path, watch_seconds=0.2)
    assert (dead.id, dead.alive, lives.id, lives.alive) == ("dead", False, "lives", True)
    assert round(dead.age) == 300 and lives.age == 0
    # Nobody waits for what is certain.
    looks.clear()
    write("dead", 4000)
    write("lives", 0)
    read_heartbeats(tmp_path, watch_seconds=60)
    assert looks == []


def test_foreign_files_say_nothing(tmp_path: Path) -> None:
    write_heartbeat(tmp_path, "worker", "a", {})
    (tmp_path / "heartbeats" / "x.json").write_text("{")
    (tmp_path / "heartbeats" / ".tmp-worker-b.json").write_text("{}")
    assert [beat.id for beat in read_heartbeats(tmp_path)] == ["a"]


def test_ids_are_file_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the worker id is '../x', but must be letters"):
        write_heartbeat(tmp_path, "worker", "../x", {})


def test_the_clock_of_the_store_is_asked_for_by_name(tmp_path: Path) -> None:
    class NoListing(DirectoryStore):
        def entries(self, folder: str = "") -> list[Entry]:
            raise AssertionError("a listing of all heartbeats")

    store = NoListing(tmp_path)
    assert store_clock_offset(store, "worker", "w") is None
    write_heartbeat(store, "worker", "w", {})
    write_heartbeat(store, "worker", "v", {})
    change(tmp_path / "heartbeats" / "worker-w.json", stored_at=time.time() + 3600)
    assert store_clock_offset(store, "worker", "w") == pytest.approx(3600, abs=60)
