"""A process of a fleet as a supervisor sees it: how it is started and ended, and how it is now."""

import abc
import dataclasses
from typing import Any

from selfplay.fleet.fleet import Process


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
        kill_at: when it is killed if it has not ended, likewise; None unless it was asked to end in
            order to start again with another one.
    """

    process: Process
    state: str = "waiting"
    handle: Handle | None = None
    starts: int = 0
    failures: int = 0
    exit_code: int | None = None
    due: float = 0.0
    since: float = 0.0
    kill_at: float | None = None

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
