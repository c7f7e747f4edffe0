"""The process of a command: what it writes to, and how it ends."""

import atexit
import contextlib
import errno
import io
import os
import sys
from typing import Any, TextIO


def prepare_streams() -> None:
    """Makes the standard streams take any text, whatever the terminal's encoding.

    A character that the encoding lacks becomes a question mark. What is written to a terminal that
    was closed is lost, and no error: the signal that says so is on its way.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        # A stream that was read from already stays as it is.
        with contextlib.suppress(io.UnsupportedOperation):
            sys.stdin.reconfigure(errors="replace")
    sys.stdout = _tolerant(sys.stdout)
    sys.stderr = _tolerant(sys.stderr)


def _tolerant(stream: Any) -> Any:
    if not isinstance(stream, io.TextIOWrapper):
        # None without a terminal on some systems, or something of a test's own.
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
    """Ends the process without taking the interpreter down.

    Threads of compiled code (JAX, ONNX Runtime, Arrow) may still be at work or waiting for the
    interpreter when a command is done. Python aborts the process if such a thread wakes up while
    the interpreter is being taken down.

    Attributes:
        status: the exit code.
    """

    def __init__(self) -> None:
        """Registers the end, which comes after everything that is registered later."""
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
    """Lets whatever is still to be written to standard output vanish: its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
