"""How soon new checkpoints are played with: what counts, and in whose time."""

import os
from pathlib import Path

import pytest

from selfplay.run import store_clock_offset, write_heartbeat
from selfplay.store import open_store
from selfplay.workers.pickup_delays import PickupDelays


def test_what_was_published_when_is_compared_with_the_first_chunk() -> None:
    now = 100.0
    pickup_delays = PickupDelays(4, clock=lambda: now)
    pickup_delays.play(4)
    pickup_delays.settle((4, 10.0))
    none = {"pickup_seconds": None, "median_pickup_seconds": None, "worst_pickup_seconds": None}
    assert pickup_delays.metrics() == none
    for update, published, begun in ((8, 108.0, 112.0), (12, 119.0, 120.0), (16, 130.0, 132.0)):
        now = begun
        pickup_delays.play(update)
        # Later chunks do not count, and the time of publication may come late.
        now += 50.0
        pickup_delays.play(update)
        pickup_delays.settle((update - 4, 1.0))
        pickup_delays.settle((update, published))
        pickup_delays.settle((update, published))
    assert pickup_delays.metrics() == {
        "pickup_seconds": 2.0,
        "median_pickup_seconds": 2.0,
        "worst_pickup_seconds": 4.0,
    }
    # Not known, not heard in time, or before its publication for want of precision.
    pickup_delays.play(20)
    pickup_delays.settle((20, None))
    pickup_delays.play(24)
    pickup_delays.play(28)
    pickup_delays.settle((24, 1.0))
    assert pickup_delays.metrics()["pickup_seconds"] == 2.0
    pickup_delays.settle((28, now + 0.4))
    assert pickup_delays.metrics()["pickup_seconds"] == 0.0


def test_the_clock_of_the_store_is_read_from_an_own_heartbeat(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert store_clock_offset(store, "worker", "w") is None
    write_heartbeat(store, "worker", "w", {})
    write_heartbeat(store, "worker", "v", {})
    (file,) = (tmp_path / "heartbeats").glob("worker-w.json")
    moved = file.stat().st_mtime + 3600.0
    os.utime(file, (moved, moved))
    assert store_clock_offset(store, "worker", "w") == pytest.approx(3600.0, abs=60.0)
    assert store_clock_offset(store, "worker", "v") == pytest.approx(0.0, abs=60.0)
    file.write_text("{}")
    assert store_clock_offset(store, "worker", "w") is None
