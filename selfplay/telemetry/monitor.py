"""One object per process that knows how it is: the source of logs, metrics and health."""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from selfplay.telemetry.health import Health
from selfplay.telemetry.logs import EventLog, JsonReporter
from selfplay.telemetry.screen import Reporter, make_reporter

if TYPE_CHECKING:
    from selfplay.telemetry.server import MetricsServer

FRESH_SECONDS = 120.0
"""A main loop that has said nothing for longer is taken for dead."""
STARTUP_SECONDS = 900.0
"""From the start, or from the end of a wait for others, to the first sign of life of the main
loop: programs are loaded and compiled then."""
COMPILATION_SECONDS = 900.0
"""The compilation of one program may take this long, whenever it comes."""


class Monitor:
    """Takes in what a process says of itself, and passes it on to whoever asks."""

    def __init__(
        self,
        *,
        role: str,
        id: str,
        run: str = "",
        log: EventLog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens nothing.

        Args:
            role: "trainer", "worker" or "evaluator".
            id: tells processes of one role apart.
            run: the run, as the user wrote it.
            log: gets events; by default nobody does.
            clock: seconds, for tests.
        """
        self.role = role
        self.run = run
        self._log = log
        self._id = id
        self._clock = clock
        self._lock = threading.Lock()
        self._fields: dict[str, Any] = {}
        self._state = "starting"
        self._ready = False
        self._beat = clock()
        self._has_begun = False
        self._compiling: dict[Hashable, float] = {}
        self._server: MetricsServer | None = None

    @property
    def id(self) -> str:
        """Tells processes of one role apart; set as soon as the process has found it."""
        return self._id

    @id.setter
    def id(self, id: str) -> None:
        self._id = id
        if self._log is not None:
            self._log.rename(id)

    @property
    def names(self) -> dict[str, str]:
        """The run, and which of its processes this is."""
        return {"run": self.run, "role": self.role, "id": self.id}

    @property
    def logs(self) -> bool:
        """Whether events are logged: then nothing need be said in words."""
        return self._log is not None

    def state(self, text: str, *, ready: bool) -> None:
        """Says what the process does now.

        Args:
            text: such as "waiting for a checkpoint".
            ready: whether it has what it needs: weights, a run within reach.
        """
        with self._lock:
            changed = (text, ready) != (self._state, self._ready)
            self._state, self._ready = text, ready
        if changed:
            self.event("state", text, ready=ready)

    def update(self, fields: Mapping[str, Any]) -> None:
        """Takes in a snapshot, the same that a heartbeat holds: a sign of life of the main loop.

        Args:
            fields: by the names that `METRICS` lists; others are ignored.
        """
        with self._lock:
            self._fields = {**self._fields, **fields}
            self._beat = self._clock()
            self._has_begun = True

    def wait(self, text: str) -> None:
        """Says that the process waits for others before it can begin, and is alive.

        What comes after the wait, programs to be compiled above all, gets the time of a start.

        Args:
            text: what it waits for, such as "waiting for a checkpoint".
        """
        self.state(text, ready=False)
        with self._lock:
            self._beat = self._clock()

    def compilation_begins(self, name: Hashable) -> None:
        """Notes that a program is being compiled: until it ends, silence is no sign of death.

        Args:
            name: tells compilations at the same time apart.
        """
        with self._lock:
            self._compiling[name] = self._clock()

    def compilation_ends(self, name: Hashable) -> None:
        """Notes the end of a compilation: a sign of life."""
        with self._lock:
            if self._compiling.pop(name, None) is not None:
                self._beat = self._clock()

    @property
    def compiling_seconds(self) -> float:
        """For how long the oldest compilation that goes on now has gone on; 0 if there is none."""
        with self._lock:
            return self._compiling_seconds()

    def _compiling_seconds(self) -> float:
        return self._clock() - min(self._compiling.values()) if self._compiling else 0.0

    def event(self, name: str, message: str = "", *, level: str = "info", **fields: Any) -> None:
        """Logs an event, if this process keeps a log of them; see `EventLog.event`."""
        if self._log is not None:
            self._log.event(name, message, level=level, **fields)

    def reporter(self, console: Console | None = None) -> Reporter:
        """Returns where progress is shown: in the log of events if there is one, else `console`."""
        if self._log is not None:
            return JsonReporter(self._log, clock=self._clock)
        return make_reporter(console)

    @property
    def health(self) -> Health:
        """How the process is now."""
        with self._lock:
            silent = self._clock() - self._beat
            limit = FRESH_SECONDS if self._has_begun else STARTUP_SECONDS
            healthy = silent <= limit
            if self._compiling:
                healthy = self._compiling_seconds() <= COMPILATION_SECONDS
            return Health(
                role=self.role,
                id=self.id,
                state="compiling" if self._compiling else self._state,
                ready=self._ready and healthy,
                healthy=healthy,
                silent_seconds=silent,
            )

    @property
    def fields(self) -> dict[str, Any]:
        """The newest snapshot, with `ready` and `heartbeat_age_seconds`."""
        health = self.health
        with self._lock:
            return {
                **self._fields,
                "ready": health.ready,
                "heartbeat_age_seconds": health.silent_seconds,
            }

    def serve(self, port: int, host: str = "127.0.0.1") -> int:
        """Opens a port for /metrics, /healthz and /readyz, and returns its number.

        Args:
            port: in [0, 65535]; 0 for any that is free.
            host: the address to listen on.

        Raises:
            ConfigError: the port is out of range, in use or not permitted, or the host unknown.
            MissingExtraError: prometheus-client is not installed.
        """
        from selfplay.telemetry.server import MetricsServer

        self._server = MetricsServer(self, port, host)
        self.event("metrics_served", f"metrics at http://{host}:{self._server.port}/metrics")
        return self._server.port

    def close(self) -> None:
        """Closes the port, if one is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
