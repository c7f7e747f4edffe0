"""Matches on their way to the store: kept, repeated, renumbered; memory stays bounded."""

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfplay.errors import StorageError
from selfplay.records import MatchRecord, encode_matches, read_matches
from selfplay.run import MatchFiles, UnsentMatches, UploadQueue
from selfplay.store.directory_store import DirectoryStore
from tests.records.examples import make_record

SECONDS = 120.0
"""How long to wait for what happens at once on any machine."""


class FlakyStore(DirectoryStore):
    """A directory that can be cut off, before or after it has written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.cut = threading.Event()
        self.loses_answers = 0
        self.tries = 0

    def write_new(self, name: str, data: bytes) -> bool:
        self.tries += 1
        if self.cut.is_set():
            raise StorageError("the store cannot be reached")
        written = super().write_new(name, data)
        if self.loses_answers:
            self.loses_answers -= 1
            raise StorageError("the answer was lost")
        return written


@pytest.fixture
def store(tmp_path: Path) -> FlakyStore:
    return FlakyStore(tmp_path)


@pytest.fixture
def leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UnsentMatches:
    monkeypatch.setenv("SELFPLAY_CACHE", str(tmp_path / ".cache"))
    return next_process()


def next_process() -> UnsentMatches:
    return UnsentMatches("redis://127.0.0.1:6379/0/run", "2026-01-01")


@pytest.fixture
def start(store: FlakyStore, leftovers: UnsentMatches) -> Iterator[Callable[..., UploadQueue]]:
    queues: list[UploadQueue] = []

    def begin(max_bytes: int = 1 << 20, **options: object) -> UploadQueue:
        queue = UploadQueue(
            MatchFiles(store),
            "w",
            leftovers,
            max_bytes=max_bytes,
            first_pause_seconds=0.01,
            **options,  # type: ignore[arg-type]
        )
        queues.append(queue)
        return queue

    yield begin
    store.cut.clear()
    for queue in queues:
        queue.close(SECONDS)


def match(sequence: int, worker: str = "w", value: int = 0) -> MatchRecord:
    record = make_record(value, players=[0, 1], actions=[4, 0], policies=[([4], [1.0])] * 2)
    record_id = f"{worker}-{sequence:08d}-0000"
    return dataclasses.replace(record, match_id=record_id)


def ids(store: FlakyStore) -> list[str]:
    files = MatchFiles(store)
    return sorted(
        record.match_id
        for item in files.entries()
        for record in files.get(item.worker, item.sequence)
    )


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_files_arrive_in_order(store: FlakyStore, start: Callable[..., UploadQueue]) -> None:
    queue = start()
    for number in range(5):
        assert queue.next_sequence == number
        queue.add([match(number)])
    assert queue.flush(SECONDS)
    assert (queue.pending, queue.stored, queue.problem) == (0, 5, "")
    assert ids(store) == [f"w-{number:08d}-0000" for number in range(5)]
    # The next life of the worker counts on.
    assert start().next_sequence == 5


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def numbered(sequence: int, index: int) -> MatchRecord:
    return dataclasses.replace(match(sequence), match_id=f"w-{sequence:08d}-{index:04d}")


def test_matches_are_gathered_into_one_file_until_they_are_old(
    store: FlakyStore, start: Callable[..., UploadQueue]
) -> None:
    clock = Clock()
    queue = start(clock=clock)
    for index in range(3):
        assert queue.next_sequence == 0
        queue.add([numbered(0, index)], gather_seconds=10.0)
        clock.now += 4.0
    assert (queue.pending, queue.stored, ids(store)) == (1, 0, [])
    # The first of them is 12 seconds old.
    queue.add([numbered(0, 3)], gather_seconds=10.0)
    assert queue.next_sequence == 1
    assert queue.flush(SECONDS)
    assert queue.stored == 1
    assert ids(store) == [f"w-00000000-{index:04d}" for index in range(4)]


def test_gathered_matches_are_closed_on_demand_and_when_they_are_many(
    store: FlakyStore, start: Callable[..., UploadQueue], leftovers: UnsentMatches
) -> None:
    queue = start(clock=Clock())
    queue.add([numbered(0, 0)], gather_seconds=10.0)
    # Nothing more will come: the worker rests.
    queue.add([])
    assert queue.next_sequence == 1
    queue.add([numbered(1, index) for index in range(1000)], gather_seconds=10.0)
    assert queue.next_sequence == 2
    queue.add([numbered(2, 0)], gather_seconds=10.0)
    assert queue.flush(SECONDS)
    assert len(ids(store)) == 1002
    store.cut.set()
    queue.add([numbered(3, 0)], gather_seconds=10.0)
    assert queue.keep() == 1
    assert [file.name for file in leftovers.files()] == ["00000003.parquet"]
    store.cut.clear()


def test_a_file_keeps_its_number_while_it_gathers(
    store: FlakyStore, start: Callable[..., UploadQueue]
) -> None:
    queue = start(clock=Clock())
    # Another process uses the same worker name.
    MatchFiles(store).put_encoded("w", 0, encode_matches([match(0, value=3)]))
    store.cut.set()
    queue.add([numbered(0, 0)])
    queue.add([numbered(1, 0)], gather_seconds=10.0)
    store.cut.clear()
    until(lambda: queue.stored == 1)
    # The file before was stored under another number, and this one will be.
    assert queue.next_sequence == 1
    queue.add([numbered(1, 1)])
    assert queue.flush(SECONDS)
    assert ids(store) == [f"w-0000000{name}" for name in ("0-0000", "1-0000", "2-0000", "2-0001")]


def test_a_store_that_cannot_be_reached_loses_nothing(
    store: FlakyStore, start: Callable[..., UploadQueue]
) -> None:
    problems: list[str] = []
    queue = start(max_bytes=1, on_problem=problems.append)
    assert queue.has_room
    store.cut.set()
    queue.add([match(0)])
    queue.add([match(1)])
    # Time to rest from playing: memory is bounded.
    assert not queue.has_room
    assert not queue.wait(0.01)
    until(lambda: store.tries >= 3)
    assert queue.problem == "the store cannot be reached"
    assert not queue.flush(0.01)
    store.cut.clear()
    assert queue.wait(SECONDS)
    assert queue.flush(SECONDS)
    assert queue.problem == ""
    # Told once, not with every try.
    assert problems == ["the store cannot be reached"]
    assert len(ids(store)) == 2


def test_a_lost_answer_duplicates_nothing(
    store: FlakyStore, start: Callable[..., UploadQueue]
) -> None:
    queue = start()
    store.loses_answers = 2
    for number in range(3):
        queue.add([match(number)])
    assert queue.flush(SECONDS)
    assert ids(store) == [f"w-{number:08d}-0000" for number in range(3)]


def test_numbers_taken_by_another_process_are_left_to_it(
    store: FlakyStore, start: Callable[..., UploadQueue]
) -> None:
    queue = start()
    other = MatchFiles(store.path)
    for number in range(2):
        other.put("w", number, [match(number, value=9)])
    queue.add([match(0)])
    queue.add([match(1)])
    assert queue.flush(SECONDS)
    assert ids(store) == [f"w-{number:08d}-0000" for number in range(4)]
    assert queue.next_sequence == 4
    assert [other.get("w", number)[0].first_checkpoint for number in range(4)] == [9, 9, 0, 0]


def test_a_damaged_file_under_its_number_is_passed(
    store: FlakyStore, start: Callable[..., UploadQueue]
) -> None:
    problems: list[str] = []
    queue = start(on_problem=problems.append)
    other = MatchFiles(store.path)
    other.put_encoded("w", 0, b"damaged")
    queue.add([match(0)])
    assert queue.flush(SECONDS)
    assert other.get("w", 1)[0].match_id == "w-00000001-0000"
    assert other.get_encoded("w", 0) == b"damaged"
    assert "is damaged" in problems[0]


def test_closing_says_whether_everything_is_stored(
    store: FlakyStore, start: Callable[..., UploadQueue]
) -> None:
    queue = start()
    queue.add([match(0)])
    assert queue.close(SECONDS)
    store.cut.set()
    queue = start()
    queue.add([match(1)])
    assert not queue.close(0.01)
    assert queue.pending == 1


def test_what_could_not_be_stored_is_kept_and_stored_by_the_next(
    store: FlakyStore, start: Callable[..., UploadQueue], leftovers: UnsentMatches
) -> None:
    queue = start()
    queue.add([match(0)])
    assert queue.flush(SECONDS)
    store.cut.set()
    for number in (1, 2):
        queue.add([match(number)])
    assert not queue.close(0.01)
    assert queue.keep() == 2
    # Ended from outside while it was at it: kept once more, and no more than that.
    assert queue.keep() == 2
    assert [file.name for file in leftovers.files()] == ["00000001.parquet", "00000002.parquet"]
    leftovers.close()
    files = MatchFiles(store)
    assert leftovers.store(files) == (0, "the store cannot be reached")
    assert len(leftovers.files()) == 2
    store.cut.clear()
    assert leftovers.store(files, over=lambda: True) == (0, "there was no time left")
    store.loses_answers = 1
    assert leftovers.store(files) == (0, "the answer was lost")
    assert leftovers.store(files) == (2, "")
    assert leftovers.store(files) == (0, "")
    assert ids(store) == [f"w-{number:08d}-0000" for number in range(3)]


def test_kept_matches_give_way_to_those_that_came_meanwhile(
    store: FlakyStore, leftovers: UnsentMatches
) -> None:
    leftovers.add("w", 0, encode_matches([match(0)]))
    leftovers.close()
    files = MatchFiles(store)
    files.put("w", 0, [match(0, value=9)])
    assert leftovers.store(files) == (1, "")
    assert [files.get("w", number)[0].first_checkpoint for number in range(2)] == [9, 0]
    assert files.get("w", 1)[0].match_id == "w-00000001-0000"


def test_a_new_number_keeps_what_a_later_version_recorded(
    store: FlakyStore, leftovers: UnsentMatches
) -> None:
    table = pq.read_table(pa.BufferReader(encode_matches([match(0)])))
    clock = pa.array([[1.5, 2.5]], pa.list_(pa.float32()))
    later = table.append_column("seconds_left", clock).replace_schema_metadata(
        {"selfplay_records": "99", "selfplay": "9.0", "more": "metadata"}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(later, sink)
    leftovers.add("w", 0, bytes(sink.getvalue()))
    leftovers.close()
    files = MatchFiles(store)
    files.put("w", 0, [match(0, value=9)])
    assert leftovers.store(files) == (1, "")
    stored = pq.read_table(pa.BufferReader(files.get_encoded("w", 1)))
    assert stored.column("match_id").to_pylist() == ["w-00000001-0000"]
    assert stored.drop_columns("match_id").equals(later.drop_columns("match_id"))
    assert stored.schema.metadata == later.schema.metadata
    assert files.get("w", 1)[0].match_id == "w-00000001-0000"


def test_matches_are_on_local_disk_until_they_are_stored(
    store: FlakyStore, start: Callable[..., UploadQueue], leftovers: UnsentMatches
) -> None:
    queue = start(clock=Clock())
    for index in range(2):
        queue.add([numbered(0, index)], gather_seconds=10.0)
        (kept,) = leftovers.files()
        assert [one.match_id for one in read_matches(kept)] == [
            f"w-00000000-{number:04d}" for number in range(index + 1)
        ]
    # Their process still lives.
    assert next_process().store(MatchFiles(store)) == (0, "")
    assert queue.flush(SECONDS)
    assert not leftovers.files()
    store.cut.set()
    queue.add([match(1)])
    assert [file.name for file in leftovers.files()] == ["00000001.parquet"]
    store.cut.clear()
    assert queue.flush(SECONDS)
    assert not leftovers.files()
    leftovers.close()
    assert not leftovers.folder.exists()


def test_matches_that_wait_for_others_survive_sigkill(
    store: FlakyStore, leftovers: UnsentMatches, tmp_path: Path
) -> None:
    (tmp_path / "first").write_bytes(encode_matches([numbered(0, 0)]))
    (tmp_path / "second").write_bytes(encode_matches([numbered(0, 1)]))
    worker = subprocess.Popen(
        [sys.executable, "-c", _GATHERS, str(store.path), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with worker:
        assert worker.stdout is not None and worker.stdout.readline() == "waits\n"
        assert next_process().store(MatchFiles(store)) == (0, "")
        assert ids(store) == []
        worker.kill()
    assert next_process().store(MatchFiles(store)) == (1, "")
    assert ids(store) == ["w-00000000-0000", "w-00000000-0001"]
    assert not leftovers.folder.exists()


_GATHERS = """
import sys, time
from pathlib import Path
from selfplay.records import read_matches
from selfplay.run import MatchFiles, UnsentMatches, UploadQueue

store, folder = map(Path, sys.argv[1:])
unsent = UnsentMatches("redis://127.0.0.1:6379/0/run", "2026-01-01")
queue = UploadQueue(MatchFiles(store), "w", unsent)
for name in ("first", "second"):
    queue.add(read_matches(folder / name), gather_seconds=3600.0)
print("waits", flush=True)
time.sleep(3600)
"""


def test_what_is_kept_has_the_number_that_the_store_gives_it(
    store: FlakyStore, start: Callable[..., UploadQueue], leftovers: UnsentMatches
) -> None:
    queue = start()
    # Another process uses the same worker name.
    MatchFiles(store).put_encoded("w", 0, encode_matches([match(0, value=3)]))
    store.cut.set()
    for number in range(3):
        queue.add([match(number)])
    store.cut.clear()
    until(lambda: queue.stored >= 1)
    store.cut.set()
    queue.add([match(queue.next_sequence)])
    left = queue.pending
    for _ in range(2):
        assert queue.keep() == left
        names = [int(file.stem) for file in leftovers.files()]
        assert names == list(range(5 - left, 5))
    # It is sent after all, and then stored again by the next worker: nothing is there twice.
    store.cut.clear()
    assert queue.close(SECONDS)
    leftovers.close()
    next_process().store(MatchFiles(store))
    assert ids(store) == [f"w-{number:08d}-0000" for number in range(5)]


def test_a_full_local_disk_does_not_stop_the_sending(
    store: FlakyStore, start: Callable[..., UploadQueue], leftovers: UnsentMatches
) -> None:
    leftovers.folder.parent.parent.mkdir(parents=True)
    leftovers.folder.parent.touch()
    queue = start()
    queue.add([match(0)])
    assert queue.flush(SECONDS)
    assert ids(store) == ["w-00000000-0000"]
    store.cut.set()
    queue.add([match(1)])
    with pytest.raises(StorageError):
        queue.keep()


def test_what_an_earlier_version_kept_is_stored(
    store: FlakyStore, leftovers: UnsentMatches
) -> None:
    folder = leftovers.folder / "w"
    folder.mkdir(parents=True)
    (folder / "00000003.parquet").write_bytes(encode_matches([match(3)]))
    assert leftovers.store(MatchFiles(store)) == (1, "")
    assert ids(store) == ["w-00000003-0000"]


def test_one_process_at_a_time_stores_what_is_kept(
    store: FlakyStore, leftovers: UnsentMatches
) -> None:
    leftovers.add("w", 0, encode_matches([match(0)]))
    leftovers.close()
    again: list[tuple[int, str]] = []

    def over() -> bool:
        again.append(next_process().store(MatchFiles(store)))
        return False

    assert leftovers.store(MatchFiles(store), over=over) == (1, "")
    assert again == [(0, "")]


def test_a_kept_file_that_is_damaged_does_not_block_the_rest(
    store: FlakyStore, leftovers: UnsentMatches
) -> None:
    files = MatchFiles(store)
    files.put("w", 0, [match(0)])
    leftovers.add("w", 0, b"damaged")
    leftovers.add("w", 1, encode_matches([match(1)]))
    leftovers.close()
    stored, problem = leftovers.store(files)
    assert stored == 0 and "damaged" in problem
    assert leftovers.store(files) == (1, "")
    assert [file.name for file in leftovers.folder.rglob("*.damaged")] == ["00000000.damaged"]


def test_another_run_at_the_same_place_gets_nothing_of_the_first(leftovers: UnsentMatches) -> None:
    leftovers.add("w", 0, b"x")
    assert next_process().files()
    assert not UnsentMatches("redis://127.0.0.1:6379/0/run", "2026-01-02").files()
    assert not UnsentMatches("redis://127.0.0.1:6379/0/other", "2026-01-01").files()


def test_a_disk_that_refuses_is_said(leftovers: UnsentMatches) -> None:
    leftovers.folder.parent.parent.mkdir(parents=True)
    leftovers.folder.parent.touch()
    with pytest.raises(StorageError):
        leftovers.add("w", 0, b"x")
