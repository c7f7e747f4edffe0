"""A run stays below `storage.max_bytes`, however long it goes on, over every store."""

import itertools
import os
import time
from pathlib import Path

from selfplay.run import MatchFiles, append_evaluation, append_mistakes
from selfplay.run import read_evaluations as evaluations
from selfplay.run.storage_limit import StorageLimit, thinned
from selfplay.settings.sections import StorageConfig
from selfplay.store import open_store
from selfplay.store.store import Entry, Store

CHECKPOINT = 8_000


def stored(store: Store, files: MatchFiles) -> int:
    """Returns the bytes of everything. Redis does not list matches among the other blobs."""
    others = [entry for entry in store.entries() if not entry.name.startswith("matches/")]
    return sum(entry.bytes for entry in others) + files.bytes_used()


def one_interval(store: Store, files: MatchFiles, number: int) -> None:
    """Stores what a run stores between two checkpoints; the third worker's files are damaged."""
    for worker in ("a", "b"):
        for sequence in range(2 * number, 2 * number + 2):
            files.put_encoded(worker, sequence, os.urandom(2_000))
    files.put_encoded("c", number, os.urandom(1_500))
    files.set_aside("c", number, "damaged")
    store.write(f"ledger/{number:08d}.json", bytes(900))
    store.write(f"tensorboard/events.out.tfevents.{1_700_000_000 + number}.x", bytes(1_200))
    for opponent in ("random", "mcts:100"):
        append_evaluation(store, {"update": number, "opponent": opponent, "score": 0.5},
                          [{"opening": [number] * 100}])  # fmt: skip
    store.write(f"balance/matches/{number:08d}-16-0-32-0000.parquet", bytes(700))
    store.write(f"balance/pairs/{number:08d}-64-16-0-256.json", bytes(400))
    append_mistakes(store, {"update": number, "phases": []}, [{"actions": [number] * 50}])


def test_a_long_run_stays_below_the_limit(place: str) -> None:
    store = open_store(place)
    files = MatchFiles(store)
    # Emulated buckets are slow.
    limit, rounds = (150_000, 60) if store.path is not None else (80_000, 12)
    retention = StorageLimit(store, files, StorageConfig(max_bytes=limit))
    for number in range(rounds):
        one_interval(store, files, number)
        store.write(f"checkpoints/{number}/weights", bytes(CHECKPOINT))
        assert stored(store, files) <= limit
        store.delete(f"checkpoints/{number - 3}/weights")
        cursor = {"a": 2 * number + 2, "b": 2 * number + 2, "c": number + 1}
        window = [(worker, 2 * number + one) for worker in "ab" for one in range(2)]
        assert retention.prune(cursor=cursor, window=window, update=number) == 0
    # It was full long ago, and is used well.
    assert stored(store, files) > limit / 2
    last = rounds - 1
    assert {(one.worker, one.sequence) for one in files.entries()} >= set(window)
    assert store.exists(f"ledger/{last:08d}.json")
    # Of the matches for balance reports those of the oldest checkpoints are gone.
    reported = sorted({int(one.split("/")[2].split("-")[0]) for one in store.names("balance")})
    assert reported == list(range(reported[0], rounds)) and reported[0] > 0
    # The curve is thinner, not shorter; each opponent's newest is there.
    updates = [row["update"] for row in evaluations(store) if row["opponent"] == "random"]
    assert 3 <= len(updates) < rounds
    assert updates[-1] == last
    assert updates[0] == 0
    assert max(b - a for a, b in itertools.pairwise(updates)) <= rounds / 2
    # Nobody uses a number again that consumers have gone past.
    assert files.next_sequence("a") == 2 * rounds
    assert files.next_sequence("c") == rounds


def test_what_must_stay_is_said(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    files = MatchFiles(store)
    for sequence in range(4):
        files.put_encoded("a", sequence, bytes(1_000))
    store.write("checkpoints/7/weights", bytes(5_000))
    store.write("ledger/00000000.json", bytes(100))
    retention = StorageLimit(store, files, StorageConfig(max_bytes=6_000))
    window = [("a", 1), ("a", 2)]
    assert retention.prune(cursor={"a": 3}, window=window, update=7) == 2_100
    assert [one.sequence for one in files.entries()] == [1, 2, 3]
    assert store.exists("ledger/00000000.json")


def test_without_a_limit_everything_stays(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    files = MatchFiles(store)
    one_interval(store, files, 0)
    before = store.names()
    limits = StorageConfig()
    assert StorageLimit(store, files, limits).prune(cursor={"a": 2}, window=[], update=0) == 0
    assert store.names() == before


def test_heartbeats_of_the_silent_go_those_of_the_living_stay(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for name, age in (("dead", 2 * 24 * 3600.0), ("alive", 60.0)):
        store.write(f"heartbeats/worker-{name}.json", bytes(500))
        then = time.time() - age
        os.utime(tmp_path / "heartbeats" / f"worker-{name}.json", (then, then))
    limits = StorageConfig(max_bytes=600)
    StorageLimit(store, MatchFiles(store), limits).prune(cursor={}, window=[], update=0)
    assert store.names("heartbeats") == ["heartbeats/worker-alive.json"]


def test_evaluations_that_lie_closest_go_first() -> None:
    def entries(kind: str, updates: list[int]) -> list[Entry]:
        names = [f"ratings/{update:08d}-{kind}-0a1b.jsonl" for update in updates]
        return [Entry(name=name, bytes=1, time=0.0) for name in names]

    both = entries("random", [0, 8, 16, 20, 22, 23, 24]) + entries("mcts-9", [1, 2, 3, 30])
    order = [entry.name.partition("/")[2][6:-11] for entry in thinned(both)]
    assert order[:3] == ["03-mcts-9", "23-random", "02-mcts-9"]
    assert order[3:] == ["22-random", "20-random", "08-random", "16-random"]
    assert thinned([]) == []
