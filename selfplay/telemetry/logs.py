"""Logs for programs: one JSON object per line."""

import contextlib
import dataclasses
import datetime
import json
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

from selfplay.telemetry import tracing
from selfplay.telemetry.metrics import of_role, written
from selfplay.telemetry.progress import Progress

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")


class EventLog:
    """Writes the events of one process, each with the run, the role and the id.

    Every line has `time` (UTC, ISO 8601), `level`, `event`, `run`, `role` and `id`, usually a
    `message`, and the event's own keys, such as `match_ids`. What happens in a span of a trace also
    has `trace_id` and `span_id`.
    """

    def __init__(self, write: Callable[[str], None], *, run: str, role: str, id: str) -> None:
        """Writes nothing yet.

        Args:
            write: takes one line, without its end.
            run: the run, as the user wrote it.
            role: "trainer", "worker", "evaluator" or "reanalyzer".
            id: tells processes of one role apart.
        """
        self._write = write
        self._names = {"run": run, "role": role, "id": id}
        self._lock = threading.Lock()

    def rename(self, id: str) -> None:
        """Changes the id that later lines name."""
        self._names = {**self._names, "id": id}

    def event(self, name: str, message: str = "", *, level: str = "info", **fields: Any) -> None:
        """Writes one line.

        Args:
            name: of the kind of event, such as "matches_stored".
            message: for people; "" for none.
            level: one of `LEVELS`.
            fields: the event's own keys; values that JSON cannot hold are written as text.
        """
        line = {
            **fields,
            "time": _now(),
            "level": level,
            "event": name,
            **self._names,
            **({"message": message} if message else {}),
            **tracing.log_ids(),
        }
        # Names first, so that lines can be read by people too.
        first = ("time", "level", "event", "run", "role", "id", "message")
        ordered = {key: line[key] for key in (*first, *fields, *line) if key in line}
        text = json.dumps(_plain(ordered), default=str)
        with self._lock:
            self._write(text)


class JsonReporter:
    """Reports progress as events "progress", for programs that read the log."""

    def __init__(
        self, log: EventLog, *, interval_seconds: float = 10.0, clock: Callable[[], float]
    ) -> None:
        """Writes nothing before the first `update`.

        Args:
            log: where the events are written.
            interval_seconds: between events "progress".
            clock: seconds.
        """
        self._log = log
        self._interval = interval_seconds
        self._clock = clock
        self._shown_at = float("-inf")
        self._pending: Progress | None = None

    def update(self, progress: Progress) -> None:
        """Writes an event "progress" if the interval has passed since the last one."""
        self._pending = progress
        if self._clock() - self._shown_at >= self._interval:
            self._flush()

    def message(self, text: str) -> None:
        """Writes an event "message" now."""
        self._log.event("message", text)

    def close(self) -> None:
        """Writes the last numbers unless they are written already."""
        self._flush()

    def _flush(self) -> None:
        if self._pending is not None:
            self._log.event("progress", **_numbers(self._pending))
            self._shown_at = self._clock()
            self._pending = None


class _Handler(logging.Handler):
    """Turns the log records of libraries into events."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record, with the traceback of its exception if it has one."""
        level = record.levelname.lower()
        fields = {"logger": record.name}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        self._log.event(
            "log", record.getMessage(), level=level if level in LEVELS else "error", **fields
        )


class LibraryLogs:
    """A context in which log records and warnings of libraries become events."""

    def __init__(self, log: EventLog) -> None:
        """Changes nothing yet."""
        self._handler = _Handler(log)

    def __enter__(self) -> "LibraryLogs":
        """Replaces all handlers of the root logger."""
        root = logging.getLogger()
        self._before = root.handlers[:]
        root.handlers[:] = [self._handler]
        logging.captureWarnings(True)
        return self

    def __exit__(self, *_: object) -> None:
        """Restores the handlers of the root logger."""
        logging.captureWarnings(False)
        logging.getLogger().handlers[:] = self._before


def stderr_log(*, run: str, role: str, id: str) -> EventLog:
    """Returns a log on standard error."""

    def write(line: str) -> None:
        # The reader has gone, or the disk for logs is full: training must continue.
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    return EventLog(write, run=run, role=role, id=id)


def _numbers(progress: Progress) -> dict[str, Any]:
    logged = (metric for metric in of_role("trainer") if metric.log)
    numbers = written(progress.metrics, logged)
    # Logs have had this name for the checkpoint since 0.1.0.
    return {**numbers, "last_checkpoint": numbers["checkpoint"]}


def _now() -> str:
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    """Returns `value` as JSON can hold it: NaN and infinities as text, results as objects."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value
