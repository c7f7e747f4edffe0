"""How often the processes of a fleet ask the store: together not more than it can take."""

import pytest

from selfplay.run.pace import beat_seconds, file_seconds, look_seconds


@pytest.mark.parametrize("workers", [0, 1, 16, 50])
def test_a_few_workers_store_matches_at_once(workers: int) -> None:
    assert file_seconds(workers) == 0.0
    assert beat_seconds(workers) == 5.0
    assert look_seconds(0.2, workers) == max(0.2, workers / 100)


@pytest.mark.parametrize("workers", [51, 64, 256, 1000, 1500])
def test_a_fleet_stores_fifty_files_a_second_at_most(workers: int) -> None:
    assert workers / file_seconds(workers) == pytest.approx(50.0)


def test_no_match_waits_longer_than_half_a_minute() -> None:
    assert file_seconds(100_000) == 30.0
