"""Shows on standard error that a long command is still computing."""

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
    """Shows the progress of a command, and how long it has been running.

    On a terminal it is one line that changes in place and disappears at the end; elsewhere it is a
    line every ten seconds. A thread writes it, so it continues while compiled code runs.
    """

    def __init__(self, text: str) -> None:
        """Writes nothing yet.

        Args:
            text: the progress at the start.
        """
        self._text = text
        self._done = threading.Event()
        self._begin = time.monotonic()
        self._thread = threading.Thread(target=self._write, name="live line", daemon=True)

    def show(self, text: str) -> None:
        """Sets the progress; cheap."""
        self._text = text

    def note(self, text: str) -> None:
        """Writes a permanent line."""
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
        """Removes the line from the terminal."""
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
        # A closed pipe or stream is no reason to end the work.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)
            sys.stderr.flush()
            return True
        return False
