"""The lifetime of a process: when it ends by itself, and how it waits for others."""

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_SHORTEST_SECONDS = 0.2
_LONGEST_SECONDS = 10.0


class Lifetime:
    """Decides when a process ends: on request, after enough work, or after a long silence.

    Attributes:
        reason: why it has ended; "" before.
        last_act: called if the process is ended from outside before it has ended by itself, for
            example to save finished work. It runs in another thread, must be quick, and may raise.
    """

    def __init__(
        self,
        *,
        max_matches: int = 0,
        max_seconds: float = 0.0,
        idle_exit_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts the clock.

        Args:
            max_matches: number of matches to play; 0 for no limit.
            max_seconds: of this process; 0 for no limit.
            idle_exit_seconds: time without a call of `heard`; 0 for no limit.
            clock: returns seconds.
        """
        self._max_matches = max_matches
        self._max_seconds = max_seconds
        self._idle_exit_seconds = idle_exit_seconds
        self._clock = clock
        self._begin = self._heard = clock()
        self._asked = threading.Event()
        self._asked_at: float | None = None
        self.last_act: Callable[[], None] = lambda: None
        self.matches = 0
        self.reason = ""

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._begin

    def stop(self) -> None:
        """Requests the end; may be called from any thread."""
        if self._asked_at is None:
            self._asked_at = self._clock()
        self._asked.set()

    @property
    def asked_seconds(self) -> float:
        """Seconds since the end was requested; 0 if it was not."""
        return 0.0 if self._asked_at is None else self._clock() - self._asked_at

    @property
    def stopped(self) -> bool:
        """Whether the end was requested."""
        return self._asked.is_set()

    def heard(self) -> None:
        """Notes a sign of life of the trainer that this process works for."""
        self._heard = self._clock()

    @property
    def over(self) -> bool:
        """Whether the process should end."""
        if self._asked.is_set():
            self.reason = "asked to stop"
        elif self._max_matches and self.matches >= self._max_matches:
            self.reason = f"{self.matches:,} matches are done"
        elif self._max_seconds and self.elapsed >= self._max_seconds:
            self.reason = f"{self._max_seconds:g} seconds have passed"
        elif self._idle_exit_seconds and self._clock() - self._heard >= self._idle_exit_seconds:
            self.reason = f"nothing was heard for {self._idle_exit_seconds:g} seconds"
        return bool(self.reason)

    def sleep(self, seconds: float) -> None:
        """Waits, but at most until the end."""
        if self._max_seconds:
            seconds = min(seconds, max(0.0, self._max_seconds - self.elapsed))
        if self._idle_exit_seconds:
            left = self._heard + self._idle_exit_seconds - self._clock()
            seconds = min(seconds, max(0.0, left))
        self._asked.wait(seconds)

    def wait_for(
        self, look: Callable[[], T | None], *, waiting: Callable[[], None] = lambda: None
    ) -> T | None:
        """Calls `look` until it returns something; None if the lifetime ends before.

        The pauses grow up to ten seconds, and are drawn at random so that many processes started
        together do not all look at the same moment.

        Args:
            look: returns None as long as there is nothing.
            waiting: called before each pause.
        """
        pause = _SHORTEST_SECONDS
        # At least one look, and one call of `waiting`, even if the lifetime is over already.
        while (found := look()) is None:
            waiting()
            if self.over:
                return None
            self.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(1.5 * pause, _LONGEST_SECONDS)
        return found
