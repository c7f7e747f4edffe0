"""A sign of life on standard error while a command computes for long."""

import contextlib
import shutil
import sys
import threading
import time
from types import TracebackType

LINE_SECONDS = 10.0
"""Between lines where standard error is not a terminal."""

_TERMINAL_SECONDS = 0.5
_CLEAR_LINE = "\r\x1b[K"


class LiveLine:
    """Says how far a command is, and for how long it has been at work.

    On a terminal it is one line that changes in place and is gone at the end, elsewhere a line
    every ten seconds. A thread writes it, so it goes on while compiled code runs.
    """

    def __init__(self, text: str) -> None:
        """Writes nothing yet.

        Args:
            text: how far it is at the start.
        """
        self._text = text
        self._done = threading.Event()
        self._begin = time.monotonic()
        self._thread = threading.Thread(target=self._write, name="live line", daemon=True)

    def show(self, text: str) -> None:
        """Says how far it is now; costs nothing."""
        self._text = text

    def note(self, text: str) -> None:
        """Writes a line that stays."""
        self._put(f"{_CLEAR_LINE if self._on_terminal() else ''}note: {text}\n")

    def __enter__(self) -> "LiveLine":
        """Begins to write."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Takes the line off the terminal."""
        self._done.set()
        self._thread.join()

    def _write(self) -> None:
        from selfplay.telemetry import words

        terminal = self._on_terminal()
        shown = False
        while not self._done.wait(_TERMINAL_SECONDS if terminal else LINE_SECONDS):
            line = f"{self._text}, {words.duration(time.monotonic() - self._begin)}"
            if terminal:
                width = shutil.get_terminal_size().columns
                line = f"{_CLEAR_LINE}{line[: width - 1]}"
            shown = self._put(line if terminal else f"{line}\n") or shown
        if terminal and shown:
            self._put(_CLEAR_LINE)

    @staticmethod
    def _on_terminal() -> bool:
        with contextlib.suppress(ValueError, AttributeError):
            return sys.stderr.isatty()
        return False

    @staticmethod
    def _put(text: str) -> bool:
        # A closed pipe, or a stream that a test has taken away: no reason to end the work.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)
            sys.stderr.flush()
            return True
        return False
