"""Heartbeats: who is alive."""

import json
import os
import socket
from pathlib import Path

import pytest

from selfplay.errors import ConfigError
from selfplay.run import read_heartbeats, remove_heartbeat, write_heartbeat

NO_PROCESS = 2**22 + 1


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_write_and_read(tmp_path: Path) -> None:
    write_heartbeat(tmp_path, "worker", "b.1", {"checkpoint": 7, "matches_per_second": 1.5})
    write_heartbeat(tmp_path, "trainer", "a", {})
    trainer, worker = read_heartbeats(tmp_path)
    assert (trainer.role, trainer.id, worker.role, worker.id) == ("trainer", "a", "worker", "b.1")
    assert (worker.pid, worker.host, worker.alive) == (os.getpid(), socket.gethostname(), True)
    assert worker.fields == {"checkpoint": 7, "matches_per_second": 1.5}
    remove_heartbeat(tmp_path, "trainer", "a")
    remove_heartbeat(tmp_path, "trainer", "a")
    assert read_heartbeats(tmp_path) == [worker]


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


def test_foreign_files_say_nothing(tmp_path: Path) -> None:
    write_heartbeat(tmp_path, "worker", "a", {})
    (tmp_path / "heartbeats" / "x.json").write_text("{")
    (tmp_path / "heartbeats" / ".tmp-worker-b.json").write_text("{}")
    assert [beat.id for beat in read_heartbeats(tmp_path)] == ["a"]


def test_ids_are_file_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the worker id is '../x', but must be letters"):
        write_heartbeat(tmp_path, "worker", "../x", {})
