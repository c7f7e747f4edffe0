"""Runs long work in a second thread, so that this one can react to a stop and show progress.

A compiled program cannot be interrupted. If the caller must stop while one runs, it abandons the
thread: it does not wait for the result, and the process exits without it at the end of the command.
"""

import atexit
import concurrent.futures
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 1.0
"""How long work may take to end by itself once it should stop."""

_TICK_SECONDS = 0.2
# The default of macOS for threads, 512 KiB, is too little to compile large programs in.
_STACK_BYTES = 16 * 2**20
_left: list[threading.Thread] = []


class LeftBehindError(Exception):
    """The work did not stop in time; it still runs."""


def attend(
    work: Callable[[], T], *, stop: Callable[[], bool], tick: Callable[[], None] = lambda: None
) -> T:
    """Runs `work` in a thread and returns its result, or raises its exception.

    Args:
        work: should also call `stop` itself where it can end early.
        stop: returns whether the work is no longer wanted; called from any thread.
        tick: called about five times a second, in this thread.

    Raises:
        LeftBehindError: `stop` has been true for `PATIENCE_SECONDS`.
    """
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    thread = _started(work, outcome)
    deadline = float("inf")
    try:
        while not concurrent.futures.wait([outcome], _TICK_SECONDS).done:
            tick()
            if stop():
                deadline = min(deadline, time.monotonic() + PATIENCE_SECONDS)
                if time.monotonic() > deadline:
                    raise LeftBehindError
    except BaseException:
        _leave_behind(thread)
        raise
    return outcome.result()


def left_behind() -> list[threading.Thread]:
    """Returns the abandoned threads that are still running."""
    return [thread for thread in _left if thread.is_alive()]


def _started(work: Callable[[], T], outcome: "concurrent.futures.Future[T]") -> threading.Thread:
    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    before = threading.stack_size(_STACK_BYTES)
    try:
        thread = threading.Thread(target=run, name="background", daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    return thread


def _leave_behind(thread: threading.Thread) -> None:
    _left.append(thread)
    # An interpreter that ends while a thread is in compiled code aborts. The command line goes
    # without waiting (`selfplay.cli.leaving`), all others wait here.
    atexit.register(thread.join)
