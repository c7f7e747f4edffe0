"""Files of matches, over every store: written once, found cheaply, removed with care."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from selfplay.errors import ConfigError, RecordError
from selfplay.records import MatchRecord, encode_matches, same_content
from selfplay.run import MatchFiles
from selfplay.store import Store
from selfplay.store.blob_series import BlobSeries
from selfplay.store.files import process_space
from selfplay.store.store import Entry
from tests.records.examples import make_record


def match(number: int) -> MatchRecord:
    return make_record(number, players=[0, 1], actions=[4, 0], policies=[([4], [1.0])] * 2)


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def files(place: str) -> MatchFiles:
    return MatchFiles(place)


def put(files: MatchFiles, worker: str, numbers: Sequence[int]) -> None:
    for number in numbers:
        assert files.put(worker, number, [match(number)])


def test_what_is_put_can_be_got(files: MatchFiles) -> None:
    assert not files.has("a", 0)
    assert files.put("a", 0, [match(0), match(1)])
    assert same_content(files.get("a", 0), [match(0), match(1)])
    assert files.has("a", 0)
    assert files.name("a", 0) == f"{files.store.url}/matches/a/00000000.parquet"
    assert files.bytes_used() == len(encode_matches([match(0), match(1)]))


def test_the_same_again_is_accepted_and_other_matches_are_not(files: MatchFiles) -> None:
    put(files, "a", range(4))
    before = files.get_encoded("a", 3), files.entries()
    assert files.put("a", 3, [match(3)])
    other = dataclasses.replace(match(3), last_checkpoint=99)
    assert not files.put("a", 3, [other])
    assert not files.put("a", 3, [match(3), match(1)])
    assert (files.get_encoded("a", 3), files.entries()) == before


def test_a_damaged_file_is_not_overwritten(files: MatchFiles) -> None:
    assert files.put_encoded("a", 0, b"damaged")
    with pytest.raises(RecordError, match=r"00000000\.parquet is damaged"):
        files.put("a", 0, [match(0)])
    assert files.get_encoded("a", 0) == b"damaged"
    with pytest.raises(RecordError, match=r"00000001\.parquet cannot be read"):
        files.get("a", 1)


def test_listing(files: MatchFiles) -> None:
    assert (files.entries(), files.workers(), files.next_sequence("a")) == ([], [], 0)
    put(files, "b", range(1))
    put(files, "a", range(12))
    assert {(item.worker, item.sequence) for item in files.entries()} == {
        ("b", 0),
        *(("a", number) for number in range(12)),
    }
    assert files.workers() == ["a", "b"]
    assert (files.next_sequence("a"), files.next_sequence("b")) == (12, 1)


@pytest.mark.parametrize("worker", ["", "a/b", ".hidden", "..", "a b"])
def test_a_worker_that_is_no_file_name(files: MatchFiles, worker: str) -> None:
    with pytest.raises(ConfigError, match="the worker id is"):
        files.put(worker, 0, [match(0)])


def test_a_consumer_gets_each_file_once(files: MatchFiles) -> None:
    cursor: dict[str, int] = {}
    taken: list[tuple[str, int]] = []

    def take(limit: int) -> list[tuple[str, int]]:
        new = files.after(cursor, limit)
        for worker, number in new:
            assert files.get(worker, number)[0].match_id == match(number).match_id
            assert number == cursor.get(worker, 0)
            cursor[worker] = number + 1
        taken.extend(new)
        return new

    assert take(10) == []
    put(files, "a", range(5))
    put(files, "b", range(2))
    # In turns, so that a worker with many files does not keep the others waiting.
    assert take(4) == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    put(files, "c", range(1))
    while take(4):
        pass
    assert len(taken) == len(set(taken)) == 8
    put(files, "a", range(5, 7))
    assert take(100) == [("a", 5), ("a", 6)]
    assert take(100) == []


def test_a_consumer_without_a_cursor_begins_at_the_first_file_left(files: MatchFiles) -> None:
    put(files, "a", range(6))
    for number in range(4):
        files.remove("a", number)
    assert files.after({}) == [("a", 4), ("a", 5)]
    assert files.next_sequence("a") == 6


def test_a_gap_is_passed_after_a_while(place: str) -> None:
    clock = Clock()
    files = MatchFiles(place, clock=clock)
    put(files, "a", range(5))
    files.remove("a", 2)
    assert files.after({"a": 2}) == []
    clock.now += 61
    assert files.after({"a": 2}) == [("a", 3), ("a", 4)]


class CountedStore(Store):
    """A store that counts what is asked of it."""

    def __init__(self) -> None:
        self.url = "counted"
        self.blobs: dict[str, bytes] = {}
        self.probes = self.listings = 0

    def series(self, folder: str, suffix: str) -> BlobSeries:
        return BlobSeries(self, folder, suffix)

    def read(self, name: str) -> bytes:
        return self.blobs[name]

    def write(self, name: str, data: bytes) -> None:
        self.blobs[name] = data

    def write_new(self, name: str, data: bytes) -> bool:
        return self.blobs.setdefault(name, data) is data

    def exists(self, name: str) -> bool:
        self.probes += 1
        return name in self.blobs

    def entry(self, name: str) -> Entry | None:
        return None

    def entries(self, folder: str = "") -> list:  # type: ignore[type-arg]
        self.listings += 1
        return []

    def folders(self, folder: str = "") -> list[str]:
        return sorted({name.split("/")[1] for name in self.blobs})

    def delete(self, name: str) -> None:
        del self.blobs[name]


def test_following_ten_thousand_files_probes_a_few() -> None:
    store, clock = CountedStore(), Clock()
    series = BlobSeries(store, "matches", ".parquet")
    for number in range(10_000):
        series.put(f"w{number % 4}", number // 4, b"x")
    files = MatchFiles(store, clock=clock)
    cursor = {f"w{number}": 2_499 for number in range(4)}
    assert len(files.after(cursor)) == 4
    assert (store.probes, store.listings) == (8, 0)
    cursor = {f"w{number}": 2_500 for number in range(4)}
    clock.now += 50
    for _ in range(100):
        assert files.after(cursor) == []
        clock.now += 0.05
    # Four workers silent for 50 seconds are looked at every 5, not a hundred times.
    assert store.probes < 8 + 4 * 5
    assert store.listings == 0


def test_a_file_set_aside_is_gone_and_its_number_used(files: MatchFiles) -> None:
    put(files, "a", range(2))
    where = files.set_aside("a", 1, "action 7 at ply 2 is not legal")
    assert where == f"{files.store.url}/refused/a/00000001.txt"
    assert files.store.read("refused/a/00000001.txt") == b"action 7 at ply 2 is not legal\n"
    assert files.store.read("refused/a/00000001.parquet") == encode_matches([match(1)])
    assert not files.has("a", 1)
    assert files.next_sequence("a") == 2
    files.set_aside("a", 1, "again")


def test_pruning_spares_what_is_needed(files: MatchFiles) -> None:
    put(files, "a", range(6))
    put(files, "b", range(2))
    size = files.bytes_used() // 8
    cursor = {"a": 5, "b": 2}
    assert files.prune(0, cursor=cursor) == []
    assert files.prune(8 * size + 8, cursor=cursor) == []
    # The sizes differ by a few bytes.
    removed = files.prune(6 * size + size // 2, cursor=cursor, window=[("a", 1)])
    assert len(removed) == 2
    assert files.bytes_used() <= 6 * size + size // 2
    # Even if nothing may stay: what is not learnt from, what the window holds, each one's last.
    removed += files.prune(1, cursor=cursor, window=[("a", 1)])
    left = {(item.worker, item.sequence) for item in files.entries()}
    assert left == {("a", 1), ("a", 5), ("b", 1)}
    assert len(removed) == len(set(removed)) == 5
    assert (files.next_sequence("a"), files.next_sequence("b")) == (6, 2)


def test_the_oldest_go_first(tmp_path: Path) -> None:
    files = MatchFiles(tmp_path)
    put(files, "a", range(3))
    put(files, "b", range(3))
    ages = {("a", 0): 50, ("b", 0): 40, ("b", 1): 30, ("a", 1): 20}
    for (worker, number), age in ages.items():
        os.utime(files.name(worker, number), (1_000_000 - age, 1_000_000 - age))
    size = files.bytes_used() // 6
    assert files.prune(3 * size + 50, cursor={"a": 3, "b": 3}) == [("a", 0), ("b", 0), ("b", 1)]


def test_what_killed_writers_left_is_cleared(tmp_path: Path) -> None:
    files = MatchFiles(tmp_path)
    put(files, "a", range(1))
    here = tmp_path / "matches" / "a"
    dead, own = 2**22 + 1, os.getpid()
    for name in (
        f".tmp-00000001.parquet-{process_space()}-{dead}-0123abcd-1",
        # The same id in an earlier life, as in a container.
        f".tmp-00000002.parquet-{process_space()}-{own}-0123abcd-1",
        ".tmp-00000003.parquet-elsewhere.1-7-0123abcd-1",
    ):
        (here / name).write_bytes(b"half")
    os.utime(here / ".tmp-00000003.parquet-elsewhere.1-7-0123abcd-1", (0, 0))
    living = [
        f".tmp-00000004.parquet-{process_space()}-{os.getppid()}-0123abcd-1",
        ".tmp-00000005.parquet-elsewhere.1-7-0123abcd-1",
    ]
    for name in living:
        (here / name).write_bytes(b"half")
    assert len(files.entries()) == 1
    assert files.next_sequence("a") == 1
    assert files.clear_stale() == 3
    assert set(os.listdir(here)) == {"00000000.parquet", *living}
