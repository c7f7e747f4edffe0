"""A timer for the waits of a trainer that has no matches to learn from."""

import threading
from collections.abc import Callable

from selfplay.runtime.meter import Meter

_WAIT_SECONDS = 0.25
_SAY_SECONDS = 10.0


class IdleTimer:
    """Waits in short steps, and measures how long a trainer has had no matches.

    Attributes:
        total_seconds: spent waiting so far.
    """

    def __init__(self, meter: Meter, on_long_wait: Callable[[], None]) -> None:
        """Does not run yet.

        Args:
            meter: measures the time.
            on_long_wait: called once in each wait that takes longer than ten seconds.
        """
        self.total_seconds = 0.0
        self._meter = meter
        self._on_long_wait = on_long_wait
        self._since: float | None = None
        self._called = False

    @property
    def running(self) -> bool:
        """Whether the trainer waits: no matches came since the last call of `wait`."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """Seconds since the trainer began to wait; 0 while it does not wait."""
        return 0.0 if self._since is None else self._meter.elapsed - self._since

    def reset(self) -> None:
        """Ends the wait, because matches have come."""
        self._since = None
        self._called = False

    def wait(self, woken: threading.Event) -> None:
        """Waits for a quarter of a second, or until `woken` is set."""
        begin = self._meter.elapsed
        if self._since is None:
            self._since = begin
        elif self.seconds > _SAY_SECONDS and not self._called:
            self._called = True
            self._on_long_wait()
        woken.wait(_WAIT_SECONDS)
        self.total_seconds += self._meter.elapsed - begin
