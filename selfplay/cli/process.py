"""The process of a command: its streams, and its end."""

import atexit
import contextlib
import errno
import io
import os
import sys
from typing import Any, TextIO


def prepare_streams() -> None:
    """Makes the standard streams accept any text, whatever the terminal's encoding.

    A character that the encoding lacks becomes a question mark. Writing to a closed terminal is no
    error; the text is lost, and a signal reports the closing.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        # A stream that was already read from cannot be reconfigured.
        with contextlib.suppress(io.UnsupportedOperation):
            sys.stdin.reconfigure(errors="replace")
    sys.stdout = _tolerant(sys.stdout)
    sys.stderr = _tolerant(sys.stderr)


def _tolerant(stream: Any) -> Any:
    if not isinstance(stream, io.TextIOWrapper):
        # None without a terminal on some systems, or a replacement by a test.
        return stream
    if not stream.isatty():
        stream.reconfigure(errors="replace")
        return stream
    stream.flush()
    buffer = io.BufferedWriter(_Terminal(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(buffer, encoding=stream.encoding, errors="replace", line_buffering=True)


class _Terminal(io.FileIO):
    """A terminal that may be closed at any time."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return len(data)


class Ending:
    """Ends the process without finalizing the interpreter.

    Threads of compiled code (JAX, ONNX Runtime, Arrow) may still be at work or waiting for the
    interpreter when a command is done. Python aborts the process if such a thread wakes up during
    finalization.

    Attributes:
        status: the exit code.
    """

    def __init__(self) -> None:
        """Registers the end, which runs after everything that is registered later."""
        self.status = 0
        atexit.register(self._end)

    def _end(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            if not _flushed(stream):
                self.status = self.status or 1
        os._exit(self.status)


def _flushed(stream: TextIO | None) -> bool:
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        return False
    return True


def discard_output() -> None:
    """Discards all further standard output, because its reader has closed the pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
