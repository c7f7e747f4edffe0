"""When a process ends by itself, and how it waits, by a clock that tests turn."""

import threading

from selfplay.runtime.lifetime import Lifetime


class Clock:
    """Time that passes only when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Sleepless(Lifetime):
    """A lifetime whose pauses cost no time but that of the clock."""

    def __init__(self, clock: Clock, **limits: float) -> None:
        super().__init__(clock=clock, **limits)  # type: ignore[arg-type]
        self.turned = clock
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.turned.now += seconds


def test_each_limit_ends_it_and_says_why() -> None:
    clock = Clock()
    endless = Lifetime(clock=clock)
    matches = Lifetime(clock=clock, max_matches=10)
    seconds = Lifetime(clock=clock, max_seconds=5.0)
    idle = Lifetime(clock=clock, idle_exit_seconds=3.0)
    assert not any(one.over for one in (endless, matches, seconds, idle))
    clock.now += 2.9
    idle.heard()
    clock.now += 2.9
    matches.matches = 11
    assert not endless.over
    assert matches.over
    assert matches.reason == "11 matches are done"
    assert seconds.over
    assert seconds.reason == "5 seconds have passed"
    assert not idle.over
    clock.now += 0.1
    assert idle.over
    assert idle.reason == "nothing was heard for 3 seconds"
    endless.stop()
    assert endless.over
    assert endless.reason == "asked to stop"


def test_waiting_grows_to_ten_seconds_and_is_spread() -> None:
    lifetime = Sleepless(Clock())
    answers = iter([None] * 40 + ["found"])
    waits: list[int] = []
    assert lifetime.wait_for(lambda: next(answers), waiting=lambda: waits.append(1)) == "found"
    assert len(waits) == len(lifetime.pauses) == 40
    assert lifetime.pauses[0] <= 0.3
    assert max(lifetime.pauses) <= 15.0
    assert min(lifetime.pauses[20:]) >= 5.0
    assert len(set(lifetime.pauses)) == 40


def test_waiting_ends_with_the_lifetime() -> None:
    lifetime = Sleepless(Clock(), max_seconds=60.0)
    assert lifetime.wait_for(lambda: None) is None
    assert lifetime.reason == "60 seconds have passed"


def test_a_sleeper_is_woken_by_the_end() -> None:
    lifetime = Lifetime()
    thread = threading.Thread(target=lambda: lifetime.sleep(3600.0))
    thread.start()
    lifetime.stop()
    thread.join(60.0)
    assert not thread.is_alive()
    assert lifetime.stopped


def test_how_long_ago_the_end_was_asked_for() -> None:
    clock = Clock()
    lifetime = Lifetime(clock=clock)
    assert lifetime.asked_seconds == 0
    lifetime.stop()
    clock.now += 3
    lifetime.stop()
    assert lifetime.asked_seconds == 3
