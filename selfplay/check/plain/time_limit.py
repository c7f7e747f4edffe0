"""Ends a call of a user's code that does not return."""

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.25


class StillRunningError(BaseException):
    """A call was ended because it took too long; no `except Exception` of the user's stops it."""


class _Call(NamedTuple):
    """A call that runs now: in which thread, and when it began by both clocks."""

    thread: int
    computing: float
    clock: float


class TimeLimit:
    """Runs functions, and ends one that takes too long. Works as a context manager.

    Only Python code can be ended: what waits inside a library is ended when that returns.
    """

    def __init__(self, *, cpu_seconds: float = 10.0, wall_seconds: float = 120.0) -> None:
        """Prepares; nothing is limited yet.

        Args:
            cpu_seconds: of computing that a call may take. A machine that is busy with other
                work, or sleeps, does not count.
            wall_seconds: that it may take by the clock.
        """
        self.cpu_seconds = cpu_seconds
        self._wall_seconds = wall_seconds
        self._lock = threading.Lock()
        self._current: _Call | None = None
        self._ended: _Call | None = None
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._look, name="time limit", daemon=True)

    def __enter__(self) -> "TimeLimit":
        """Starts the thread that ends calls."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the thread."""
        self._leave.set()
        self._thread.join()

    def run(self, function: Callable[[], T]) -> T:
        """Returns what `function` returns; may be called inside a function that is run.

        Raises:
            StillRunningError: it took too long.
        """
        outer = self._current
        call = _Call(threading.get_ident(), time.process_time(), time.monotonic())
        self._change(call)
        try:
            return function()
        finally:
            self._change(outer)
            if self._ended is call:
                # It may have returned on its own just then: the exception must not come later.
                _raise_in(call.thread, None)
                self._ended = None
                raise StillRunningError

    def _change(self, call: _Call | None) -> None:
        with self._lock:
            self._current = call

    def _look(self) -> None:
        while not self._leave.wait(_LOOK_SECONDS):
            with self._lock:
                call = self._current
                if call is None or call is self._ended:
                    continue
                computing = time.process_time() - call.computing
                if (
                    computing > self.cpu_seconds
                    or time.monotonic() - call.clock > self._wall_seconds
                ):
                    self._ended = call
                    _raise_in(call.thread, StillRunningError)


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Has a thread raise `kind` at its next step; None for what was to be raised no more."""
    what: Any = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
