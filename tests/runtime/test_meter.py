"""Rates over the last half minute and shares of the time, by a clock that tests turn."""

import pytest

from selfplay.runtime.meter import Meter


class Clock:
    """Time that passes only when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_rate_is_the_growth_per_second_of_the_last_half_minute(clock: Clock) -> None:
    meter = Meter(clock=clock)
    assert meter.rate("matches") is None
    for second in range(120):
        # Fast at first, slow in the last minute.
        meter.count(matches=10 if second < 60 else 2)
        clock.now += 1
        meter.mark()
    assert meter.rate("matches") == pytest.approx(2.0)
    assert meter.rate("updates") is None
    assert meter.elapsed == 120


def test_a_rate_counts_from_the_start_at_first(clock: Clock) -> None:
    meter = Meter(clock=clock)
    meter.count(updates=6)
    clock.now += 3
    meter.mark()
    assert meter.rate("updates") == pytest.approx(2.0)


def test_shares_of_the_time_add_up_to_one(clock: Clock) -> None:
    meter = Meter(clock=clock)
    for name, seconds in (("play", 5.0), ("train", 3.0), ("play", 1.0)):
        with meter.phase(name):
            clock.now += seconds
    clock.now += 1
    shares = meter.shares(("play", "train", "evaluate", "other"))
    assert shares == pytest.approx({"play": 0.6, "train": 0.3, "evaluate": 0.0, "other": 0.1})
    assert meter.seconds_in("play") == 6.0


def test_a_phase_that_fails_is_counted_too(clock: Clock) -> None:
    meter = Meter(clock=clock)
    with pytest.raises(KeyError), meter.phase("play"):
        clock.now += 2
        raise KeyError
    assert meter.seconds_in("play") == 2.0
