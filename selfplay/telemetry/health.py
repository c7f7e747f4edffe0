"""The health of a process: the answer to probes."""

import dataclasses
from typing import Any, Protocol, runtime_checkable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Health:
    """The health of a process at one moment.

    Attributes:
        role: "trainer", "worker", "evaluator" or "reanalyzer".
        id: tells processes of one role apart.
        state: what it does, such as "playing" or "waiting for a checkpoint".
        ready: whether it works, or could work if there were work.
        healthy: whether its main loop has reported recently, or is compiling.
        silent_seconds: since the last report; the end of a compilation counts as one.
    """

    role: str
    id: str
    state: str
    ready: bool
    healthy: bool
    silent_seconds: float


@runtime_checkable
class HealthSource(Protocol):
    """Provides the answers for the port of a process; `Monitor` is one."""

    @property
    def names(self) -> dict[str, str]:
        """The run, and which of its processes this is."""

    @property
    def health(self) -> Health:
        """The current health of the process."""

    @property
    def fields(self) -> dict[str, Any]:
        """The newest values, by key of the metric."""
