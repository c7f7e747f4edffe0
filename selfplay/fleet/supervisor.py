"""Keeps the processes of a fleet running: starts them, starts them again, and ends them in order.

How a process is started, asked to end and killed is up to a `Starter`, so that the rules are the
same for processes of this machine and of a cluster.
"""

import abc
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from selfplay.fleet.fleet import Process

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


class Handle(abc.ABC):
    """A process that was started."""

    @property
    def pid(self) -> int | None:
        """Its id, if it is a process of this machine."""
        return None

    @abc.abstractmethod
    def poll(self) -> int | None:
        """Returns its exit code, below 0 for a signal; None while it runs."""

    @abc.abstractmethod
    def ask(self) -> None:
        """Asks it to save and end."""

    @abc.abstractmethod
    def kill(self) -> None:
        """Ends it at once."""


class Starter(abc.ABC):
    """Starts processes."""

    @abc.abstractmethod
    def start(self, process: Process) -> Handle:
        """Starts one."""

    @abc.abstractmethod
    def last_words(self, process: Process) -> str:
        """Returns the end of what it has written, in a line; "" if that is not known."""


@dataclasses.dataclass(kw_only=True)
class Watched:
    """A process of the fleet as it is now.

    Attributes:
        process: which.
        state: "waiting" for its start, "running", "ended" by itself with exit code 0, "stopped"
            because it was asked to, or "failed": given up.
        handle: of the running one.
        starts: how often it was started.
        failures: in a row.
        exit_code: of the last one that has ended.
        due: when it is to start, by the supervisor's clock.
        since: when it was started, likewise.
    """

    process: Process
    state: str = "waiting"
    handle: Handle | None = None
    starts: int = 0
    failures: int = 0
    exit_code: int | None = None
    due: float = 0.0
    since: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON can hold it."""
        return {
            "name": self.process.name,
            "role": self.process.role.name,
            "state": self.state,
            "pid": None if self.handle is None else self.handle.pid,
            "restarts": max(0, self.starts - 1),
            "exit_code": self.exit_code,
        }


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
        for one in self.watched:
            if one.state == "waiting" and self._clock() >= one.due:
                self._start(one)
                changed = True
            elif one.state == "running" and one.handle is not None:
                status = one.handle.poll()
                if status is not None:
                    outcome = outcome or self._ended(one, status)
                    changed = True
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
        if status == 0:
            one.state = "ended"
            self._say(f"{name} has ended by itself")
            if name == "trainer":
                return Outcome(reason="the trainer has ended by itself")
            if all(other.state == "ended" for other in self.watched if self._plays(other)):
                self._say("no worker is left; the trainer goes on with the matches that are there")
            return None
        long = self._clock() - one.since >= _SETTLED_SECONDS
        one.failures = 1 if long else one.failures + 1
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        words = self._starter.last_words(one.process)
        if status == _WRONG_COMMAND or one.failures > self._most_restarts:
            one.state = "failed"
            why = f"{name} failed {one.failures} times in a row, the last time with {how}"
            if status == _WRONG_COMMAND:
                why = f"{name} refuses its command line"
            return self._given_up(one, f"{why}{f': {words}' if words else ''}")
        pause = min(2.0 ** (one.failures - 1), _LONGEST_PAUSE_SECONDS)
        one.state, one.due = "waiting", self._clock() + pause
        self._say(
            f"{name} has ended with {how}; it is started again in {pause:g} s"
            + (f" (it said: {words})" if words else "")
        )
        return None

    def _given_up(self, one: Watched, error: str) -> Outcome | None:
        """Returns how the fleet ends for want of a process, None if it goes on without."""
        if one.process.name == "trainer":
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
            if one.handle is not None:
                self._say(f"{one.process.name} does not end; it is killed")
                one.handle.kill()
        deadline = self._clock() + _KILL_SECONDS
        while left and self._clock() < deadline:
            left = self._still_there(left)
            if left:
                time.sleep(self._look_seconds)
        for one in self.watched:
            if one.state == "waiting":
                one.state = "stopped"
        self._on_change(self.watched)

    @staticmethod
    def _still_there(left: list[Watched]) -> list[Watched]:
        for one in left:
            status = one.handle.poll() if one.handle is not None else None
            if status is not None:
                one.state, one.exit_code, one.handle = "stopped", status, None
        return [one for one in left if one.handle is not None]
