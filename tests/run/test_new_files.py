"""A trainer finds the files of many workers with few requests, and each file once, in order."""

import collections

from benchmarks.common.memory_bucket import MemoryBucket
from selfplay.run import MatchFiles


class Clock:
    """Time that passes when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Intake:
    """Takes in every file that is found."""

    def __init__(self, files: MatchFiles) -> None:
        self.files = files
        self.cursor: dict[str, int] = {}
        self.taken = 0

    def look(self, limit: int = 32) -> int:
        found = self.files.after(self.cursor, limit)
        for worker, number in found:
            assert number == self.cursor.get(worker, 0)
            self.cursor[worker] = number + 1
        self.taken += len(found)
        return len(found)


def test_a_trainer_of_many_workers_asks_a_few_at_a_time() -> None:
    clock, bucket = Clock(), MemoryBucket()
    stored: collections.Counter[str] = collections.Counter()

    def store(worker: int) -> None:
        name = f"w{worker}"
        assert bucket.write_new(f"matches/{name}/{stored[name]:08d}.parquet", b"x")
        stored[name] += 1

    for worker in range(100):
        store(worker)
    trainer = bucket.another()
    intake = Intake(MatchFiles(trainer, clock=clock))
    most = 0
    for tick in range(120):
        # Each worker stores a file every ten seconds, one after the other.
        for worker in range(tick % 20 * 5, tick % 20 * 5 + 5):
            store(worker)
        before = trainer.requests["HEAD"]
        while intake.look() == 32:
            pass
        most = max(most, trainer.requests["HEAD"] - before)
        clock.now += 0.5
    # Two requests for most files: one finds it, one that there is no other.
    assert stored.total() - intake.taken < 100
    assert trainer.requests["HEAD"] < 6 * intake.taken
    # However many are due, a trainer goes on after a few of them.
    assert most < 4 * 64
    assert trainer.requests["LIST"] < 20
    assert intake.files.workers_at_work == 100
    # The fleet is gone: it costs next to nothing any more.
    clock.now += 2 * 3600
    intake.look()
    trainer.requests.clear()
    for _ in range(60):
        intake.look()
        clock.now += 0.5
    assert trainer.requests["HEAD"] <= 110
    assert intake.files.workers_at_work == 0


def test_files_that_were_returned_but_not_read_come_again() -> None:
    bucket = MemoryBucket()
    for worker in ("a", "b"):
        for number in range(5):
            bucket.write_new(f"matches/{worker}/{number:08d}.parquet", b"x")
    files = MatchFiles(bucket)
    cursor = {"a": 0}
    assert files.after(cursor, 2) == [("a", 0), ("b", 0)]
    # The first was taken in; the second not, because a gate was tested meanwhile, for example.
    cursor["a"] = 1
    found = [file for _ in range(9) for file in files.after(cursor, 2)]
    assert ("b", 1) not in found or found.index(("b", 0)) < found.index(("b", 1))
    intake = Intake(files)
    intake.cursor = cursor
    while intake.look(3):
        pass
    assert intake.cursor == {"a": 5, "b": 5}


def test_files_are_read_ahead_once_and_a_missing_one_is_an_error_later() -> None:
    bucket = MemoryBucket()
    for number in range(3):
        bucket.write_new(f"matches/a/{number:08d}.parquet", bytes([number]))
    files = MatchFiles(bucket)
    files.prefetch([("a", 0), ("a", 1), ("a", 7)])
    assert bucket.requests["GET"] == 3
    assert [files.get_encoded("a", number) for number in (0, 1)] == [b"\0", b"\1"]
    assert bucket.requests["GET"] == 3
    assert files.get_encoded("a", 0) == b"\0"
    assert bucket.requests["GET"] == 4
