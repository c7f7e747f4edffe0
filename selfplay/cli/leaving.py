"""The end of a process that need not wait for what its devices, threads and programs still do.

The interpreter's own end would wait for compiled code that runs, or abort because of a thread that
is in the middle of it. Every write of a run is atomic, so nothing is half done.
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
    """Ends the process now, and the engines that it has started; callable from any thread.

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
    """Sees to it that Ctrl-C ends a command within two seconds.

    Python raises `KeyboardInterrupt` only when the compiled code that runs now has returned, which
    may take minutes. So a thread listens too: it ends the process if that has not ended by itself
    `GRACE_SECONDS` after the signal. Commands that have more to do at the end, such as to save, put
    `selfplay.cli.signals.StopSignals` in its place.
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
        """Ends the process at once if work was left undone; else stops listening."""
        undone = self._signalled.is_set() or _work_is_left()
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
        """Returns whether to say that it was interrupted: True for the first caller only."""
        return self._told.acquire(blocking=False)

    def _listen(self) -> None:
        with self._receiver:
            while received := self._receiver.recv(1):
                if received[0] == signal.SIGINT:
                    self._signalled.set()
                    time.sleep(GRACE_SECONDS)
                    leave(INTERRUPTED, "error: interrupted\n" if self.may_tell() else "")


def _work_is_left() -> bool:
    """Returns whether a thread is still at work that was left behind."""
    background = sys.modules.get("selfplay.runtime.background")
    return background is not None and bool(background.left_behind())
