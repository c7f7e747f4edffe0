"""Events of runs for open pages (server-sent events); each run is read once for all listeners."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from selfplay.errors import SelfplayError
from selfplay.serve.errors import RequestError

MOST_LISTENERS = 512
"""Pages that may listen at once, on all runs."""

_LOOK_SECONDS = 2.0
_QUIET_SECONDS = 15.0
_MOST_MATCHES = 50
_QUEUED = 32
_END = ""
"""Ends a stream."""

Look = Callable[[str], Awaitable[dict[str, Any]]]


def format_event(name: str, document: Any) -> str:
    """Returns one server-sent event."""
    return f"event: {name}\ndata: {json.dumps(document, allow_nan=False)}\n\n"


class Feeds:
    """The streams of events of all runs. A run is read only while somebody listens."""

    def __init__(
        self,
        look: Look,
        *,
        look_seconds: float = _LOOK_SECONDS,
        quiet_seconds: float = _QUIET_SECONDS,
    ) -> None:
        """Reads nothing yet.

        Args:
            look: returns the state of a run: its "status", its newest "matches" (newest first) and
                its newest "checkpoint", or None.
            look_seconds: from one look to the next.
            quiet_seconds: after that long without an event, a comment keeps the connection open.
        """
        self._look = look
        self._look_seconds = look_seconds
        self._quiet_seconds = quiet_seconds
        self._listeners: dict[str, set[asyncio.Queue[str]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._last: dict[str, dict[str, Any]] = {}

    @property
    def listeners(self) -> int:
        """The number of pages that listen now."""
        return sum(map(len, self._listeners.values()))

    async def listen(self, run: str) -> AsyncIterator[str]:
        """Yields the events of a run, first its status; ends when the run is removed.

        Raises:
            RequestError: too many listen already (503).
        """
        if self.listeners >= MOST_LISTENERS:
            raise RequestError(f"{self.listeners} pages listen already", status=503, retry_after=60)
        queue: asyncio.Queue[str] = asyncio.Queue(_QUEUED)
        self._listeners.setdefault(run, set()).add(queue)
        try:
            # At once, so that the browser knows that the connection is open.
            yield ": selfplay\n\n"
            if run in self._last:
                yield format_event("status", self._last[run]["status"])
            if run not in self._tasks:
                self._tasks[run] = asyncio.create_task(self._watch(run))
            while True:
                try:
                    async with asyncio.timeout(self._quiet_seconds):
                        event = await queue.get()
                except TimeoutError:
                    event = ": still here\n\n"
                if event == _END:
                    return
                yield event
        finally:
            self._listeners[run].discard(queue)
            if not self._listeners[run]:
                del self._listeners[run]
                task = self._tasks.pop(run, None)
                if task is not None:
                    task.cancel()
                self._last.pop(run, None)

    def close(self) -> None:
        """Ends all streams."""
        for run in list(self._listeners):
            self._send(run, _END)

    async def _watch(self, run: str) -> None:
        while True:
            try:
                now = await self._look(run)
            except SelfplayError as error:
                self._send(run, format_event("problem", {"error": str(error), "hint": error.hint}))
                if isinstance(error, RequestError):
                    # The run was removed.
                    self._send(run, _END)
                    return
            else:
                self._compare(run, self._last.get(run), now)
                self._last[run] = now
            await asyncio.sleep(self._look_seconds)

    def _compare(self, run: str, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
        if before is None or _lasting(before["status"]) != _lasting(now["status"]):
            self._send(run, format_event("status", now["status"]))
        if before is None:
            return
        known = {row["match"] for row in before["matches"]}
        new = [row for row in now["matches"] if row["match"] not in known]
        if new:
            self._send(run, format_event("matches", {"matches": new[:_MOST_MATCHES]}))
        if now["checkpoint"] != before["checkpoint"] and now["checkpoint"] is not None:
            self._send(run, format_event("checkpoint", now["checkpoint"]))

    def _send(self, run: str, event: str) -> None:
        for queue in self._listeners.get(run, ()):
            if queue.full():
                # A listener that reads too slowly misses the oldest events.
                with contextlib.suppress(asyncio.QueueEmpty):
                    queue.get_nowait()
            queue.put_nowait(event)


def _lasting(status: dict[str, Any]) -> dict[str, Any]:
    """Returns a status without the keys that change as time passes."""
    return {key: value for key, value in status.items() if not key.endswith("_seconds")}
