"""The trainer's heartbeat is found among many and then read by name."""

from pathlib import Path

import pytest

from selfplay.run import remove_heartbeat, write_heartbeat
from selfplay.store.directory_store import DirectoryStore
from selfplay.store.store import Entry
from selfplay.workers.trainer_heartbeat import TrainerHeartbeat


class Counting(DirectoryStore):
    """A directory that counts what is asked of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[str] = []

    def read(self, name: str) -> bytes:
        self.asked.append(name)
        return super().read(name)

    def entries(self, folder: str = "") -> list[Entry]:
        self.asked.append(folder)
        return super().entries(folder)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    """Returns a run with 64 workers and a trainer."""
    store = Counting(tmp_path)
    for number in range(64):
        write_heartbeat(store, "worker", f"w{number}", {"update": number})
    write_heartbeat(store, "trainer", "t", {"update": 1})
    return store


def update_of(trainer: TrainerHeartbeat) -> int | None:
    beat = trainer.read()
    return None if beat is None else beat.fields["update"]


def test_one_read_each_time_however_many_workers_there_are(store: Counting) -> None:
    trainer = TrainerHeartbeat(store)
    assert update_of(trainer) == 1
    assert store.asked == ["heartbeats", "heartbeats/trainer-t.json"]
    store.asked.clear()
    for update in range(2, 12):
        write_heartbeat(store, "trainer", "t", {"update": update})
        assert update_of(trainer) == update
    assert store.asked == ["heartbeats/trainer-t.json"] * 10


def test_a_trainer_that_comes_later_is_found(tmp_path: Path) -> None:
    trainer = TrainerHeartbeat(DirectoryStore(tmp_path))
    assert trainer.read() is None
    write_heartbeat(tmp_path, "trainer", "t", {"update": 3})
    assert update_of(trainer) == 3


def test_the_next_trainer_is_found_whether_the_last_one_left_or_died(store: Counting) -> None:
    clock = Clock()
    trainer = TrainerHeartbeat(store, clock)
    assert update_of(trainer) == 1
    # Another one, elsewhere; the first was killed and never took its heartbeat away.
    write_heartbeat(store, "trainer", "u", {"update": 2})
    clock.now = 29
    assert update_of(trainer) == 1
    clock.now = 31
    assert update_of(trainer) == 2
    write_heartbeat(store, "trainer", "v", {"update": 3})
    remove_heartbeat(store, "trainer", "u")
    assert update_of(trainer) == 3
    for name in ("t", "v"):
        remove_heartbeat(store, "trainer", name)
    assert trainer.read() is None
    # While there is a dead one only, nobody searches at every look.
    write_heartbeat(store, "trainer", "t", {"update": 1})
    assert update_of(trainer) == 1
    clock.now += 31
    store.asked.clear()
    for _ in range(10):
        assert update_of(trainer) == 1
    assert store.asked.count("heartbeats") == 1
