"""The monitor of a process: provides the data for logs, metrics and health probes."""

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
"""A main loop that has given no sign of life for longer counts as dead."""
STARTUP_SECONDS = 900.0
"""Allowed from the start of a process, or from the end of a wait for others, to the first sign of
life of its main loop: it loads and compiles programs then."""
COMPILATION_SECONDS = 900.0
"""Allowed for the compilation of one program, whenever it happens."""


class Monitor:
    """Holds the state and the newest metrics of one process; safe to use from several threads."""

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
            role: "trainer", "worker", "evaluator" or "reanalyzer".
            id: tells processes of one role apart.
            run: the run, as the user wrote it.
            log: where events are written; None for nowhere.
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
        """Tells processes of one role apart; a process sets it once it has claimed one."""
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
        """Whether events are logged, so that lines for people are not needed."""
        return self._log is not None

    def state(self, text: str, *, ready: bool) -> None:
        """Sets the state of the process; does not count as a report of the main loop.

        Args:
            text: such as "waiting for a checkpoint".
            ready: whether it has weights and can reach its run.
        """
        with self._lock:
            changed = (text, ready) != (self._state, self._ready)
            self._state, self._ready = text, ready
        if changed:
            self.event("state", text, ready=ready)

    def update(self, fields: Mapping[str, Any]) -> None:
        """Sets values of metrics; counts as a report of the main loop.

        Args:
            fields: by key of `METRICS`; others are kept, but no sink shows them.
        """
        with self._lock:
            self._fields = {**self._fields, **fields}
            self._beat = self._clock()
            self._has_begun = True

    def wait(self, text: str) -> None:
        """Records that the process is alive and waits for others before it can start.

        After the wait it has `STARTUP_SECONDS` again, mainly to compile its programs.

        Args:
            text: the state, such as "waiting for a checkpoint".
        """
        self.state(text, ready=False)
        with self._lock:
            self._beat = self._clock()

    def compilation_begins(self, name: Hashable) -> None:
        """Records that JAX compiles a program, during which the main loop does not report.

        Args:
            name: tells compilations at the same time apart.
        """
        with self._lock:
            self._compiling[name] = self._clock()

    def compilation_ends(self, name: Hashable) -> None:
        """Records the end of a compilation; counts as a report of the main loop."""
        with self._lock:
            if self._compiling.pop(name, None) is not None:
                self._beat = self._clock()

    @property
    def compiling_seconds(self) -> float:
        """Age of the oldest compilation under way, in seconds; 0 if there is none."""
        with self._lock:
            return self._compiling_seconds()

    def _compiling_seconds(self) -> float:
        return self._clock() - min(self._compiling.values()) if self._compiling else 0.0

    def event(self, name: str, message: str = "", *, level: str = "info", **fields: Any) -> None:
        """Logs an event if this process has a log; see `EventLog.event`."""
        if self._log is not None:
            self._log.event(name, message, level=level, **fields)

    def reporter(self, console: Console | None = None) -> Reporter:
        """Returns a reporter: to the log of events if there is one, else to `console`."""
        if self._log is not None:
            return JsonReporter(self._log, clock=self._clock)
        return make_reporter(console)

    @property
    def health(self) -> Health:
        """The current health of the process."""
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
            port: in [0, 65535]; 0 for any free one.
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
