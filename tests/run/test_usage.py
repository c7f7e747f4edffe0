"""Hours of processes: counted once, whether they run, have ended or were killed."""

import time
from pathlib import Path

import pytest

from selfplay.run import hours_by_role, keep_usage, keep_usage_of_killed, write_heartbeat
from selfplay.run.usage import fold_usage
from selfplay.settings import CostConfig
from selfplay.store import open_store
from selfplay.store.directory_store import DirectoryStore


def beat(run: Path, role: str, id: str, started: int, hours: float) -> None:
    write_heartbeat(run, role, id, {"started": started, "lived_seconds": hours * 3600})


def test_running_ended_and_killed_processes_count_once(tmp_path: Path) -> None:
    beat(tmp_path, "worker", "a", 1, 2.0)
    beat(tmp_path, "worker", "b-1", 1, 1.0)
    keep_usage(tmp_path, "worker", "c", 5, 1800)
    assert hours_by_role(tmp_path) == {"worker": pytest.approx(3.5)}
    # A process that ends: its file is written before its heartbeat goes.
    keep_usage(tmp_path, "worker", "a", 1, 2.25 * 3600)
    assert hours_by_role(tmp_path) == {"worker": pytest.approx(3.75)}
    # One takes over the id of a killed one.
    keep_usage_of_killed(tmp_path, "worker", "b-1")
    beat(tmp_path, "worker", "b-1", 2, 0.5)
    beat(tmp_path, "trainer", "trainer", 1, 4.0)
    assert hours_by_role(tmp_path) == pytest.approx({"trainer": 4.0, "worker": 4.25})


def test_old_files_are_added_up_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    for number in range(70):
        keep_usage(tmp_path, "worker", "w", number, 3600)
    keep_usage(tmp_path, "trainer", "t", 1, 7200)
    beat(tmp_path, "worker", "alive", 5, 1.0)
    keep_usage(tmp_path, "worker", "alive", 5, 3600)
    expected = {"trainer": 2.0, "worker": 71.0}

    def files() -> int:
        return len(list((tmp_path / "usage").iterdir()))

    fold_usage(tmp_path, now=time.time())
    assert files() == 72, "those of the last hour stay"
    # Killed after the sum was written and one file removed.
    with monkeypatch.context() as patch:
        removed: list[str] = []

        def delete(self: DirectoryStore, name: str) -> None:
            if removed:
                raise KeyboardInterrupt
            removed.append(name)
            (tmp_path / name).unlink()

        patch.setattr(DirectoryStore, "delete", delete)
        with pytest.raises(KeyboardInterrupt):
            fold_usage(tmp_path, now=time.time() + 4000)
    assert files() == 72
    assert hours_by_role(tmp_path) == pytest.approx(expected)
    for _ in range(2):
        fold_usage(tmp_path, now=time.time() + 4000)
        assert files() == 2, "the sum, and that of the process that has a heartbeat"
        assert hours_by_role(tmp_path) == pytest.approx(expected)
    # A second time the sum goes on, and a damaged file stays as it is.
    for number in range(70):
        keep_usage(tmp_path, "worker", "v", number, 1800)
    store.write("usage/worker-x-1.json", b"{")
    fold_usage(tmp_path, now=time.time() + 4000)
    assert files() == 3
    assert hours_by_role(tmp_path) == pytest.approx({"trainer": 2.0, "worker": 106.0})
    # Nothing is added to a sum that cannot be read.
    store.write("usage/total.json", b'{"seconds": 3}')
    for number in range(70):
        keep_usage(tmp_path, "worker", "u", number, 3600)
    fold_usage(tmp_path, now=time.time() + 4000)
    assert hours_by_role(tmp_path) == pytest.approx({"worker": 71.0})


def test_what_recorded_no_hours_does_not_count(tmp_path: Path) -> None:
    write_heartbeat(tmp_path, "worker", "old", {"state": "playing"})
    keep_usage_of_killed(tmp_path, "worker", "old")
    keep_usage_of_killed(tmp_path, "worker", "nobody")
    open_store(tmp_path).write("usage/worker-x-1.json", b"{")
    open_store(tmp_path).write("usage/worker-y-1.json", b'{"role": "worker", "id": 3}')
    assert hours_by_role(tmp_path) == {}


def test_the_bill() -> None:
    prices = CostConfig(worker_hour=0.5, trainer_hour=2.0)
    assert prices.bill({"worker": 10.0, "trainer": 1.0, "evaluator": 7.0}) == 7.0
    assert prices.known and not CostConfig().known
