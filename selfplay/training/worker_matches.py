"""A source of matches that only workers play."""

import threading
from collections.abc import Callable, Iterable, Sequence

from selfplay.records import MatchRecord
from selfplay.runtime.meter import Meter
from selfplay.store.place import typed
from selfplay.training.learning import Learning
from selfplay.training.match_source import MatchSource

_WAIT_SECONDS = 0.25
_SAY_SECONDS = 10.0


class WorkerMatches(MatchSource):
    """Takes in the matches that workers store, and waits if there are none."""

    activity = "waiting for matches"
    relies_on_workers = True

    def __init__(
        self,
        learning: Learning,
        meter: Meter,
        say: Callable[[str], None],
        *,
        idle_exit_seconds: float = 0.0,
    ) -> None:
        """Takes in nothing yet.

        Args:
            learning: takes the matches in.
            meter: measures the time.
            say: shows a message to people.
            idle_exit_seconds: the session ends after so long without matches; 0 for no limit.
        """
        super().__init__(learning, meter, say)
        self._idle_exit_seconds = idle_exit_seconds
        self._idle_timer = IdleTimer(meter, self._say_idle)

    def new_files(self) -> list[tuple[str, int]]:
        return self.intake.look(now=self._idle_timer.running)

    def take_in(self, files: Iterable[tuple[str, int]]) -> Sequence[MatchRecord]:
        files = list(files)
        matches = super().take_in(files)
        if files:
            self._idle_timer.reset()
        return matches

    def get_more(self, stopped: threading.Event) -> Sequence[MatchRecord]:
        self._idle_timer.wait(stopped)
        return []

    @property
    def exhausted(self) -> bool:
        limit = self._idle_exit_seconds
        return bool(limit) and self._idle_timer.seconds >= limit

    @property
    def waited_seconds(self) -> float:
        return self._idle_timer.total_seconds

    @property
    def starved_seconds(self) -> float:
        return self._idle_timer.seconds

    def close(self) -> None:
        # Nothing is in progress in this process.
        pass

    def _say_idle(self) -> None:
        command = f"selfplay worker --run {typed(self.learning.run.url)}"
        self.say(f"waiting for matches: is there a worker? {command}")


class IdleTimer:
    """Waits in short steps, and measures how long a trainer has been without matches.

    Attributes:
        total_seconds: spent waiting so far.
    """

    def __init__(self, meter: Meter, on_long_wait: Callable[[], None]) -> None:
        """Does not run yet.

        Args:
            meter: measures the time.
            on_long_wait: called once in each wait of more than ten seconds.
        """
        self.total_seconds = 0.0
        self._meter = meter
        self._on_long_wait = on_long_wait
        self._since: float | None = None
        self._called = False

    @property
    def running(self) -> bool:
        """Whether the trainer waits: no matches have arrived since the last call of `wait`."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """Seconds since the trainer began to wait; 0 while it does not wait."""
        return 0.0 if self._since is None else self._meter.elapsed - self._since

    def reset(self) -> None:
        """Ends the wait, because matches have arrived."""
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
