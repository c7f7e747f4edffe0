"""Keeps the processes of a fleet running: starts them, starts them again, and ends them in order.

How a process is started, asked to end and killed is up to a `Starter`, so that the rules are the
same for processes of this machine and of a cluster. The processes of a trainer of several need each
other, so they end and start again together.
"""

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Sequence

from selfplay.fleet.fleet import Process
from selfplay.fleet.watched import Starter, Watched

GRACE_SECONDS = 120.0
"""How long a process may take to save and end before it is killed."""

MOST_RESTARTS = 5
"""Failures in a row after which a process is given up."""

_SETTLED_SECONDS = 600.0
"""A process that has run so long has not failed at its start: the count begins anew."""

_LONGEST_PAUSE_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_KILL_SECONDS = 30.0
_WRONG_COMMAND = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a fleet has ended.

    Attributes:
        reason: in words.
        error: what went wrong, "" if nothing did.
    """

    reason: str
    error: str = ""


class Supervisor:
    """Runs the processes of one fleet until the trainer has ended or it is told to stop."""

    def __init__(
        self,
        processes: Sequence[Process],
        starter: Starter,
        *,
        say: Callable[[str], None] = lambda text: None,
        on_change: Callable[[list[Watched]], None] = lambda watched: None,
        most_restarts: int = MOST_RESTARTS,
        grace_seconds: float = GRACE_SECONDS,
        spent: Callable[[], str] = str,
        clock: Callable[[], float] = time.monotonic,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """Starts nothing yet.

        Args:
            processes: the trainer first.
            starter: starts them.
            say: shows a line.
            on_change: called with all processes after one has changed.
            most_restarts: failures in a row after which a process is given up.
            grace_seconds: how long a process may take to save and end.
            spent: returns why the fleet must end, "" while it need not; called at every look.
            clock: seconds.
            look_seconds: how often it looks.
        """
        self.watched = [Watched(process=process) for process in processes]
        self._starter = starter
        self._say = say
        self._on_change = on_change
        self._most_restarts = most_restarts
        self._grace_seconds = grace_seconds
        self._spent = spent
        self._clock = clock
        self._look_seconds = look_seconds
        self._stop = threading.Event()

    def stop(self) -> None:
        """Asks all processes to end; may be called from any thread."""
        self._stop.set()

    def run(self) -> Outcome:
        """Keeps the processes running; returns once all of them have ended."""
        try:
            outcome = None
            while outcome is None:
                outcome = self.look()
                self._stop.wait(0 if outcome else self._look_seconds)
        finally:
            self._end_all()
        return outcome

    def look(self) -> Outcome | None:
        """Starts what is due and notes what has ended; returns how the fleet ends, if it does."""
        if self._stop.is_set():
            return Outcome(reason="it was asked to stop")
        if reason := self._spent():
            return Outcome(reason=reason)
        changed = False
        outcome = None
        now = self._clock()
        for one in self.watched:
            if one.state == "waiting" and now >= one.due and not self._waits_for_others(one):
                self._start(one)
                # At once, so that it is found if this process is killed.
                self._on_change(self.watched)
            elif one.state == "running" and one.handle is not None:
                status = one.handle.poll()
                if status is not None:
                    outcome = outcome or self._ended(one, status)
                    changed = True
                elif one.kill_at is not None and now >= one.kill_at:
                    one.kill_at = math.inf
                    self._kill(one)
        if changed:
            self._on_change(self.watched)
        return outcome

    def _start(self, one: Watched) -> None:
        one.handle = self._starter.start(one.process)
        one.state, one.since = "running", self._clock()
        one.starts += 1

    def _ended(self, one: Watched, status: int) -> Outcome | None:
        """Notes that a process has ended; returns how the fleet ends if that ends it."""
        name, one.exit_code, one.handle = one.process.name, status, None
        if one.kill_at is not None:
            one.state, one.kill_at = "waiting", None
            return None
        if status == 0:
            one.state = "ended"
            self._say(f"{name} has ended by itself")
            if name == "trainer":
                return Outcome(reason="the trainer has ended by itself")
            workers = [other for other in self.watched if self._plays(other)]
            if self._plays(one) and all(other.state == "ended" for other in workers):
                self._say("no worker is left; the trainer goes on with the matches that are there")
            return None
        long = self._clock() - one.since >= _SETTLED_SECONDS
        failures = 1 if long else one.failures + 1
        together = self._together(one)
        for other in together:
            other.failures = failures
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        words = self._starter.last_words(one.process)
        if status == _WRONG_COMMAND or failures > self._most_restarts:
            one.state = "failed"
            why = f"{name} failed {failures} times in a row, the last time with {how}"
            if status == _WRONG_COMMAND:
                why = f"{name} refuses its command line"
            return self._given_up(one, f"{why}{f': {words}' if words else ''}")
        pause = min(2.0 ** (failures - 1), _LONGEST_PAUSE_SECONDS)
        for other in together:
            self._start_again(other, pause)
        what = "it is" if len(together) == 1 else "all processes of the trainer are"
        self._say(
            f"{name} has ended with {how}; {what} started again in {pause:g} s"
            + (f" (it said: {words})" if words else "")
        )
        return None

    def _together(self, one: Watched) -> list[Watched]:
        """Returns the processes that end and start again with one, itself among them."""
        role = one.process.role
        if not role.acts_as_one:
            return [one]
        return [other for other in self.watched if other.process.role == role]

    def _waits_for_others(self, one: Watched) -> bool:
        """Returns whether a process with which one starts has yet to end."""
        return any(other.kill_at is not None for other in self._together(one))

    def _start_again(self, one: Watched, pause: float) -> None:
        """Makes a process start after a pause; one that runs is asked to end before."""
        one.due = self._clock() + pause
        if one.handle is None:
            one.state = "waiting"
        elif one.kill_at is None:
            one.kill_at = self._clock() + self._grace_seconds
            one.handle.ask()

    def _given_up(self, one: Watched, error: str) -> Outcome | None:
        """Returns how the fleet ends for want of a process, None if it goes on without."""
        if one.process.role.name == "trainer":
            return Outcome(reason="the trainer has failed", error=error)
        workers = [other for other in self.watched if self._plays(other)]
        if self._plays(one) and all(other.state in ("failed", "ended") for other in workers):
            return Outcome(reason="every worker has failed", error=error)
        self._say(f"{error}; the fleet goes on without it")
        return None

    @staticmethod
    def _plays(one: Watched) -> bool:
        return one.process.role.name == "worker"

    def _end_all(self) -> None:
        """Asks all processes to end, waits, and kills those that do not."""
        left = [one for one in self.watched if one.handle is not None]
        for one in left:
            if one.handle is not None:
                one.handle.ask()
        deadline = self._clock() + self._grace_seconds
        while left and self._clock() < deadline:
            left = self._still_there(left)
            if left:
                time.sleep(self._look_seconds)
        for one in left:
            self._kill(one)
        deadline = self._clock() + _KILL_SECONDS
        while left and self._clock() < deadline:
            left = self._still_there(left)
            if left:
                time.sleep(self._look_seconds)
        for one in self.watched:
            if one.state == "waiting":
                one.state = "stopped"
        self._on_change(self.watched)

    def _kill(self, one: Watched) -> None:
        if one.handle is not None:
            self._say(f"{one.process.name} does not end; it is killed")
            one.handle.kill()

    @staticmethod
    def _still_there(left: list[Watched]) -> list[Watched]:
        for one in left:
            status = one.handle.poll() if one.handle is not None else None
            if status is not None:
                one.state, one.exit_code, one.handle = "stopped", status, None
        return [one for one in left if one.handle is not None]
