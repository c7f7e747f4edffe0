"""Handles Ctrl-C, SIGTERM and SIGHUP: the first saves, another Ctrl-C exits at once."""

import contextlib
import signal
import socket
import sys
import termios
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

from selfplay.cli.leaving import INTERRUPTED, leave
from selfplay.errors import SelfplayError

_LOCAL_FLAGS = 3
_ECHOCTL = getattr(termios, "ECHOCTL", 0)


class StopSignals:
    """A context that listens to SIGINT, SIGTERM and SIGHUP.

    SIGHUP is sent when the terminal is closed; under nohup it remains ignored.

    A Python handler would have to wait until running compiled code has returned, and could not
    print while the interrupted code is printing. So a thread listens.

    Attributes:
        stopped: whether a signal has come.
    """

    def __init__(
        self,
        *,
        does: str = "saves after the current step",
        grace_seconds: float | None = None,
    ) -> None:
        """Does not listen yet.

        Args:
            does: what the process does before it ends, for the message.
            grace_seconds: longest time from the first signal to the end; None for no limit.
        """
        self.stopped = False
        self._does = does
        self._grace_seconds = grace_seconds
        self._stop: Callable[[], None] | None = None
        self._say: Callable[[str], None] = lambda text: None
        self._last_act: Callable[[], None] = lambda: None
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)

    def ready(
        self,
        stop: Callable[[], None],
        say: Callable[[str], None],
        last_act: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes the first signal call `stop` and print a line; before, it ends the process.

        Args:
            stop: requests the end.
            say: shows a line.
            last_act: called when `grace_seconds` are over. The exit code is 0, or that of the
                `SelfplayError` it raises.
        """
        self._stop, self._say, self._last_act = stop, say, last_act

    def __enter__(self) -> "StopSignals":
        """Starts listening."""
        self._before = {number: signal.signal(number, lambda *_: None) for number in _numbers()}
        self._wakeup = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._terminal = _hide_control_characters()
        self._listener = threading.Thread(target=self._listen, name="signals", daemon=True)
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Restores the earlier handlers."""
        _restore(self._terminal)
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._sender.close()
        # A thread that is still there when the interpreter ends makes it abort.
        self._listener.join()

    def _listen(self) -> None:
        while True:
            try:
                received = self._receiver.recv(1)
            except TimeoutError:
                _restore(self._terminal)
                _leave(self._cut())
            if not received:
                break
            number = received[0]
            if number not in self._before:
                continue
            stop = self._stop
            if stop is None or (self.stopped and number == signal.SIGINT):
                _restore(self._terminal)
                _leave(128 + number)
            elif not self.stopped:
                self.stopped = True
                stop()
                self._receiver.settimeout(self._grace_seconds)
                self._say(f"stopping: {self._does}; Ctrl-C again exits at once")
        self._receiver.close()

    def _cut(self) -> int:
        """Calls `last_act` after the grace time; returns the exit code."""
        try:
            self._last_act()
        except SelfplayError as error:
            self._say(f"error: {error}" + (f"; {error.hint}" if error.hint else ""))
            return error.exit_code
        return 0


def _numbers() -> list[signal.Signals]:
    """Returns the signals to listen to."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [signal.SIGINT, signal.SIGTERM]
    return [signal.SIGINT, signal.SIGTERM, hangup]


def _hide_control_characters() -> list[Any] | None:
    """Returns the terminal's settings after changing them so that no ^C moves the live screen."""
    if not sys.__stdin__ or not sys.__stdin__.isatty():
        return None
    before = termios.tcgetattr(sys.__stdin__)
    after = list(before)
    after[_LOCAL_FLAGS] &= ~_ECHOCTL
    termios.tcsetattr(sys.__stdin__, termios.TCSANOW, after)
    return before


def _restore(settings: list[Any] | None) -> None:
    # The terminal may be gone.
    with contextlib.suppress(termios.error):
        if settings is not None and sys.__stdin__:
            termios.tcsetattr(sys.__stdin__, termios.TCSANOW, settings)


def _leave(status: int) -> NoReturn:
    note = "error: interrupted\n\nhint: the newest checkpoint stays as it is\n"
    leave(status, note if status == INTERRUPTED else "")
