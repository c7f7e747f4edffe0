"""What the processes of a fleet ask of a store: few requests each, fewer the more they are."""

import collections

import pytest

from benchmarks.common.fleet import (
    Load,
    SimulatedTime,
    SimulatedTrainer,
    SimulatedWorker,
    create,
    delays,
    run_in_turn,
)
from benchmarks.common.memory_bucket import MemoryBucket
from selfplay.reports.health import _read
from selfplay.run import RunDirectory, write_heartbeat
from selfplay.run.pace import beat_seconds, look_seconds, spread
from selfplay.runtime.lifetime import Lifetime
from selfplay.workers.process_ids import claimed_id

HOUR = 3600.0


class Fleet:
    """A trainer and workers around one bucket, in simulated time."""

    def __init__(self, workers: int, load: Load) -> None:
        self.clock = SimulatedTime()
        bucket = MemoryBucket()
        create(bucket, load)
        self.views = [bucket.another() for _ in range(workers + 1)]
        first, *others = map(RunDirectory.open, self.views)
        self.trainer = SimulatedTrainer(first, load, self.clock)
        self.workers = [
            SimulatedWorker(run, f"w{number}", load, self.clock)
            for number, run in enumerate(others)
        ]

    def run(self, seconds: float) -> collections.Counter[str]:
        """Returns the requests of all workers in that time."""
        for view in self.views:
            view.requests.clear()
        run_in_turn([self.trainer, *self.workers], self.clock, seconds)
        return sum((view.requests for view in self.views[1:]), collections.Counter())


def test_a_worker_reads_one_heartbeat_a_second_and_lists_almost_nothing() -> None:
    fleet = Fleet(1, Load(file_seconds=10, checkpoint_seconds=1e9))
    fleet.run(20)
    asked = fleet.run(60)
    # Every second the trainer's heartbeat, every five seconds a request to stop.
    assert asked["GET"] <= 60 * 1.4
    # The checkpoints once a minute, in case the heartbeat is wrong.
    assert asked["LIST"] <= 3
    # A heartbeat every five seconds, a file every ten; each file is asked for once before.
    assert asked["PUT"] <= 12 + 6 + 2
    assert asked["HEAD"] <= 7
    assert fleet.trainer.files >= 6


def test_a_checkpoint_is_picked_up_within_two_seconds_without_listing_heartbeats() -> None:
    fleet = Fleet(3, Load(checkpoint_seconds=30))
    fleet.run(20)
    asked = fleet.run(15)
    picked_up = [one for worker in fleet.workers for one in worker.picked_up]
    assert len(picked_up) == 3
    assert delays(fleet.trainer.published, picked_up)[1] <= 2
    assert asked["LIST"] <= 3 * 2


def test_a_worker_of_a_large_fleet_asks_less_often() -> None:
    fleet = Fleet(1, Load(file_seconds=1e9, checkpoint_seconds=1e9))
    view = fleet.views[1]
    trainer = RunDirectory.open(view.another())
    view.requests.clear()
    for _ in range(60):
        fields = {"newest_checkpoint": 0, "workers": 1000}
        write_heartbeat(trainer.store, "trainer", "loop", fields)
        run_in_turn(fleet.workers, fleet.clock, 10)
    # Every ten seconds instead of every second; its own heartbeat every twenty.
    assert view.requests["GET"] <= 600 / 8 + 600 / 20 + 10
    assert view.requests["PUT"] <= 600 / 20 + 2


def test_a_trainer_of_an_older_selfplay_names_no_checkpoint_so_they_are_listed() -> None:
    fleet = Fleet(1, Load(file_seconds=1e9, checkpoint_seconds=1e9))
    trainer = RunDirectory.open(fleet.views[1].another())
    for number in range(4):
        fields = {"newest_checkpoint": 0, "number": number}
        write_heartbeat(trainer.store, "trainer", "loop", fields)
        run_in_turn(fleet.workers, fleet.clock, 5)
    fleet.trainer._save_at = fleet.clock.now
    fleet.trainer._beat = lambda: None  # type: ignore[method-assign]
    fleet.trainer.step()
    published = fleet.clock.now
    run_in_turn(fleet.workers, fleet.clock, 5)
    [(update, at)] = fleet.workers[0].picked_up
    assert update == 1
    assert at - published <= 2


def test_paces_grow_with_the_fleet_and_stay_within_bounds() -> None:
    assert look_seconds(0.2, 0) == look_seconds(0.2, 16) == 0.2
    assert look_seconds(1.0, 1000) == 10
    assert [beat_seconds(workers) for workers in (0, 250, 500, 100_000)] == [5, 5, 10, 20]
    assert all(8 <= spread(10) <= 12 for _ in range(100))


@pytest.fixture
def crowd() -> MemoryBucket:
    """Returns a run with the heartbeats of 300 workers."""
    bucket = MemoryBucket()
    create(bucket, Load(weights=1))
    for number in range(300):
        write_heartbeat(bucket, "worker", f"w{number}", {})
    return bucket.another()


def test_a_worker_that_begins_and_a_probe_read_one_heartbeat_of_many(crowd: MemoryBucket) -> None:
    run = RunDirectory.open(crowd)
    crowd.requests.clear()
    with claimed_id(run, "worker", "w299-new", lifetime=Lifetime()):
        assert crowd.requests.total() <= 2
    crowd.requests.clear()
    [beat] = _read(crowd, "worker", "w7")
    assert beat.id == "w7"
    assert crowd.requests.total() == 2
    assert _read(crowd, "worker", "nobody") == []
