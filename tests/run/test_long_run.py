"""A run that goes on for long stays bounded under the default kinds of limits, in faked time."""

import collections
import json
from typing import Any

import pytest

from benchmarks.common.memory_bucket import MemoryBucket
from selfplay.run import (
    MatchFiles,
    append_evaluation,
    append_mistakes,
    append_suite_result,
    read_evaluations,
    read_mistakes,
    read_newest_mistakes,
    read_newest_results,
    read_newest_suite_result,
    read_suite_results,
    write_heartbeat,
)
from selfplay.run.ratings import newest_results
from selfplay.run.storage_limit import StorageLimit
from selfplay.run.usage import hours_by_role, keep_usage
from selfplay.settings.sections import StorageConfig

WEEK = 7 * 24 * 3600.0


class Clock:
    """Seconds since 1970, as the test says."""

    now = 1.7e9

    def __call__(self) -> float:
        return self.now


class LongRun:
    """Writes what the processes of a run write, by the kind and the amount, but no matches."""

    def __init__(self, limits: StorageConfig) -> None:
        self.clock = Clock()
        self.bucket = MemoryBucket(clock=self.clock)
        self.files = MatchFiles(self.bucket)
        self.limit = StorageLimit(self.bucket, self.files, limits, clock=self.clock)
        self.interval = 0
        self.cursor: dict[str, int] = {}

    def checkpoint(self, seconds: float) -> None:
        """Stores what a run stores from one checkpoint to the next."""
        number, store = self.interval, self.bucket
        self.interval += 1
        self.clock.now += seconds
        store.write(f"ledger/{number:08d}.json", bytes(900))
        store.write(f"tensorboard/events.out.tfevents.{self.clock.now:.0f}.x", bytes(1_200))
        for opponent in ("random", "mcts:100", f"@{number // 2}"):
            append_evaluation(store, {"update": number, "opponent": opponent, "score": 0.5})
        append_mistakes(store, {"update": number, "phases": []}, [{"actions": [number]}])
        suite = dict.fromkeys(("share", "low", "high", "positions", "solved", "failed"), 0)
        append_suite_result(store, {"update": number, "suite": "s", **suite})
        # A worker that came for an hour, sent a damaged file and was told to go.
        keep_usage(store, "worker", f"host-{number}", int(1000 * self.clock.now), 3600.0)
        for folder in ("heartbeats", "requests"):
            store.write(f"{folder}/worker-{number}.json", bytes(300))
        store.write("heartbeats/trainer-loop.json", bytes(300))
        worker = f"w{number % 5}"
        sequence = self.cursor.get(worker, 0)
        self.files.put_encoded(worker, sequence, bytes(50))
        self.files.set_aside(worker, sequence, "damaged")
        self.cursor[worker] = sequence + 1
        store.write(f"balance/matches/{number:08d}-16-0-32-0000.parquet", bytes(700))
        assert self.limit.prune(cursor=self.cursor, window=[], update=number) == 0

    def counts(self) -> collections.Counter[str]:
        """Returns the number of blobs by folder."""
        return collections.Counter(entry.name.partition("/")[0] for entry in self.bucket.entries())


def newest(run: MemoryBucket) -> list[Any]:
    """Returns what a trainer reads again with every checkpoint."""
    found = [read_newest_results(run), read_newest_mistakes(run), read_newest_suite_result(run)]
    return json.loads(json.dumps(found))


def test_blobs_stay_bounded_and_a_checkpoint_costs_the_same_after_a_week() -> None:
    run = LongRun(StorageConfig(max_other_files=60))
    asked = []
    for number in range(240):
        run.checkpoint(WEEK / 240)
        if number in (60, 239):
            view = run.bucket.another()
            found = newest(view)
            asked.append(view.requests)
            assert found[0] == json.loads(json.dumps(newest_results(read_evaluations(run.bucket))))
            assert found[1:] == [read_mistakes(run.bucket)[-1], read_suite_results(run.bucket)[-1]]
    # What is written between two times of tidying up comes on top.
    counts = run.counts()
    assert max(counts[kind] for kind in ("ledger", "tensorboard", "balance")) <= 61
    assert counts["ratings"] <= 65
    assert counts["refused"] <= 62 + 2 * 5
    # A day has 35 intervals here.
    assert counts["heartbeats"] <= 37
    assert counts["requests"] <= 36
    assert counts["usage"] <= 64 + 3
    assert hours_by_role(run.bucket) == {"worker": 240.0}
    assert run.bucket.exists("heartbeats/trainer-loop.json")
    # The newest are there, curves are coarser and not shorter, no number is used again.
    assert run.bucket.exists("ledger/00000239.json")
    updates = [row["update"] for row in read_evaluations(run.bucket) if row["opponent"] == "random"]
    assert (updates[0], updates[-1]) == (0, 239)
    assert run.files.next_sequence("w0") == run.cursor["w0"]
    # Three listings, the first and the newest of each kind: not one request more than before.
    assert asked[0] == asked[1] == {"LIST": 3, "GET": 8}


def test_without_limits_only_what_the_gone_left_is_removed() -> None:
    run = LongRun(StorageConfig(max_other_bytes=0, max_other_files=0))
    for _ in range(40):
        run.checkpoint(WEEK / 40)
    counts = run.counts()
    assert counts["ledger"] == 40
    assert counts["ratings"] == 5 * 40
    assert counts["heartbeats"] <= 8


def test_bytes_have_a_limit_of_their_own() -> None:
    run = LongRun(StorageConfig(max_other_bytes=9_000))
    for _ in range(40):
        run.checkpoint(WEEK / 40)
    assert run.bucket.bytes_used("ledger") <= 9_000 + 900
    assert run.bucket.bytes_used("tensorboard") <= 9_000 + 1_200


def test_the_hours_of_a_killed_process_outlive_its_heartbeat() -> None:
    run = LongRun(StorageConfig())
    fields = {"started": 1_700_000_000_000, "lived_seconds": 7200.0}
    write_heartbeat(run.bucket, "worker", "killed-1", fields)
    assert hours_by_role(run.bucket) == {"worker": 2.0}
    run.checkpoint(2 * 24 * 3600.0)
    assert not run.bucket.exists("heartbeats/worker-killed-1.json")
    # And the hour of the worker that came meanwhile.
    assert hours_by_role(run.bucket) == {"worker": 3.0}


@pytest.mark.slow
def test_a_week_at_the_rate_of_a_real_run() -> None:
    run = LongRun(StorageConfig(max_other_files=5_000))
    for _ in range(7 * 24 * 60):
        run.checkpoint(60.0)
    counts = run.counts()
    assert max(counts.values()) <= 5_000 + 60 * 5
    assert counts["heartbeats"] <= 25 * 60 + 1
