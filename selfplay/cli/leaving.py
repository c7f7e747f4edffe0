"""Ends a process without waiting for its devices, threads and programs.

The interpreter itself would wait for running compiled code, or abort because a thread is inside it.
Every write of a run is atomic, so nothing is half done.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from types import TracebackType
from typing import NoReturn

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

GRACE_SECONDS = 1.0
"""How long a command may take to end by itself after Ctrl-C."""

_SHOW_CURSOR = b"\x1b[?25h"
_CLEAR_LINE = b"\r\x1b[K"


def leave(status: int, message: str = "") -> NoReturn:
    """Ends the process at once, with its engines; may be called from any thread.

    Args:
        status: the exit code.
        message: written to standard error before.
    """
    for stream, codes in ((sys.__stdout__, _SHOW_CURSOR), (sys.__stderr__, _CLEAR_LINE)):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if stream is not None and stream.isatty():
                os.write(stream.fileno(), codes)
    with contextlib.suppress(OSError):
        os.write(2, message.encode())
    # Only if engines were needed at all.
    programs = sys.modules.get("selfplay.arena.engines.subprocesses")
    if programs is not None:
        programs.kill_all()
    os._exit(status)


class Interruptible:
    """Makes Ctrl-C end a command within two seconds.

    Python raises `KeyboardInterrupt` only after the running compiled code has returned, which may
    take minutes. So a thread also listens: it ends the process if the process has not ended within
    `GRACE_SECONDS` after the signal. Commands that must save first use
    `selfplay.cli.signals.StopSignals` instead.
    """

    def __enter__(self) -> "Interruptible":
        """Listens, unless Ctrl-C is ignored or handled elsewhere."""
        self._signalled = threading.Event()
        self._told = threading.Lock()
        self._listens = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._listens:
            self._receiver, self._sender = socket.socketpair()
            self._sender.setblocking(False)
            self._before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
            self._listener = threading.Thread(target=self._listen, name="ctrl-c", daemon=True)
            self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Ends the process at once if a thread is still at work; else stops listening."""
        undone = self._signalled.is_set() or _work_is_left()
        if isinstance(error, SystemExit) and error.code:
            undone = undone or _others_are_left()
        if undone and isinstance(error, SystemExit):
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            leave(error.code if isinstance(error.code, int) else 1)
        if self._listens:
            signal.set_wakeup_fd(self._before)
            self._sender.close()
            self._listener.join()

    def may_tell(self) -> bool:
        """Returns whether to print that it was interrupted: True only for the first caller."""
        return self._told.acquire(blocking=False)

    def _listen(self) -> None:
        with self._receiver:
            while received := self._receiver.recv(1):
                if received[0] == signal.SIGINT:
                    self._signalled.set()
                    time.sleep(GRACE_SECONDS)
                    leave(INTERRUPTED, "error: interrupted\n" if self.may_tell() else "")


def _others_are_left() -> bool:
    """Returns whether other processes train with this one; JAX would wait minutes for them."""
    jax = sys.modules.get("jax")
    return jax is not None and bool(jax.distributed.is_initialized())


def _work_is_left() -> bool:
    """Returns whether an abandoned thread is still at work."""
    background = sys.modules.get("selfplay.runtime.background")
    return background is not None and bool(background.left_behind())
