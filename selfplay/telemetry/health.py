"""How a process is: what probes and /metrics ask of it."""

import dataclasses
from typing import Any, Protocol, runtime_checkable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Health:
    """How a process is at one moment.

    Attributes:
        role: "trainer", "worker" or "evaluator".
        id: tells processes of one role apart.
        state: what it does, such as "playing" or "waiting for a checkpoint".
        ready: whether it does its work, or waits for nothing but work.
        healthy: whether its main loop gave a sign of life lately, or is compiling.
        silent_seconds: since the last sign of life; a program that was compiled is one.
    """

    role: str
    id: str
    state: str
    ready: bool
    healthy: bool
    silent_seconds: float


@runtime_checkable
class HealthSource(Protocol):
    """What the port of a process answers from; `Monitor` is one."""

    @property
    def names(self) -> dict[str, str]:
        """The run, and which of its processes this is."""

    @property
    def health(self) -> Health:
        """How the process is now."""

    @property
    def fields(self) -> dict[str, Any]:
        """The newest snapshot, by name of the metric."""
