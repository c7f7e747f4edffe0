"""A trainer that waits for matches, and says so."""

import threading
from collections.abc import Callable

from selfplay.runtime.meter import Meter

_WAIT_SECONDS = 0.25
_SAY_SECONDS = 10.0


class IdleTimer:
    """Knows how long a trainer has been without matches."""

    def __init__(self, meter: Meter, say: Callable[[], None]) -> None:
        """Is fed.

        Args:
            meter: has the time.
            say: called once in each wait that becomes long.
        """
        self.waited = 0.0
        self._meter = meter
        self._say = say
        self._since: float | None = None
        self._said = False

    @property
    def seconds(self) -> float:
        """Seconds since matches came last, while it waits for them; 0 while it does not."""
        return 0.0 if self._since is None else self._meter.elapsed - self._since

    @property
    def waits(self) -> bool:
        """Whether the last thing it did was to wait."""
        return self._since is not None

    def feed(self) -> None:
        """Notes that matches have come."""
        self._since = None
        self._said = False

    def wait(self, woken: threading.Event) -> None:
        """Waits for a moment, or until it is woken."""
        begin = self._meter.elapsed
        if self._since is None:
            self._since = begin
        elif self.seconds > _SAY_SECONDS and not self._said:
            self._said = True
            self._say()
        woken.wait(_WAIT_SECONDS)
        self.waited += self._meter.elapsed - begin
