"""A program outside: lines to it, lines from it, its last words, and its end."""

import collections
import contextlib
import errno
import os
import queue
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Iterable, Sequence

from selfplay.errors import EngineError

_LAST_WORDS = 5
_PARTING_SECONDS = 2.0
"""How long a program that was told to quit may take before it is ended."""


_running: "weakref.WeakSet[Program]" = weakref.WeakSet()


def kill_all() -> None:
    """Ends every program that this process has started, at once; callable from any thread."""
    for program in list(_running):
        if program._process.returncode is None:
            _kill_group(program._process)


class Program:
    """A running program that is talked to line by line.

    It is ended, with whatever it started, by `close` or `kill`, and at the latest when this object
    or the interpreter goes.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        """Starts the program.

        Args:
            name: what error messages call it.
            command: the program and its arguments; no shell reads them.

        Raises:
            EngineError: it cannot be started.
        """
        self._name = name
        try:
            # A session of its own: a Ctrl-C in the terminal is for us, and we end it ourselves.
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                bufsize=1,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(
                f"{name} cannot be started: {error.strerror}", hint=_start_hint(error)
            ) from error
        self._process = process
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._words: collections.deque[str] = collections.deque(maxlen=_LAST_WORDS)
        # Threads, as a pipe has no time limit; they must not know `self`, or it would never go.
        self._readers = [
            threading.Thread(target=read, args=arguments, daemon=True)
            for read, arguments in (
                (_read_lines, (process.stdout, self._lines)),
                (_read_words, (process.stderr, self._words)),
            )
        ]
        for reader in self._readers:
            reader.start()
        self._end = weakref.finalize(self, _end, process, self._readers)
        _running.add(self)

    def send(self, text: str) -> None:
        """Writes `text`, one or more whole lines.

        Raises:
            EngineError: the program has ended.
        """
        stdin = self._process.stdin
        try:
            if stdin is not None:
                stdin.write(text)
                stdin.flush()
        except (OSError, ValueError):
            raise self._ended(text.rstrip().rpartition("\n")[2]) from None

    def receive(self, *, asked: str, deadline: float) -> str:
        """Returns the next line, without its end.

        Args:
            asked: what it answers, for error messages.
            deadline: on `time.monotonic`.

        Raises:
            EngineError: the program is silent for too long, or has ended.
        """
        line = self.listen(asked=asked, until=deadline)
        if line is None:
            raise EngineError(
                f"{self._name} has not answered {asked!r} in time",
                hint="timeout=600 in front of its command waits for 600 seconds",
            )
        return line

    def listen(self, *, asked: str, until: float) -> str | None:
        """Returns the next line, without its end; None if there is none by then.

        Args:
            asked: what it answers, for error messages.
            until: on `time.monotonic`.

        Raises:
            EngineError: the program has ended.
        """
        try:
            line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return None
        if line is None:
            self._lines.put(None)
            raise self._ended(asked)
        return line

    def close(self) -> None:
        """Tells the program to quit, waits a little, then ends it; may be called again."""
        self._end()

    def kill(self) -> None:
        """Ends the program at once, whatever it is doing."""
        if self._end.alive and self._process.returncode is None:
            _kill_group(self._process)
        self._end()

    def _ended(self, asked: str) -> EngineError:
        """Returns the error for a program that is gone, with the last it wrote on its stderr."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PARTING_SECONDS)
            # At once, as long as its number cannot be anybody else's.
            _kill_group(self._process)
        self._readers[1].join(_PARTING_SECONDS)
        code = self._process.returncode
        if code is None:
            how = "has closed its output"
        elif code < 0:
            how = f"was ended by signal {-code}"
        else:
            how = f"ended with exit code {code}"
        words = " | ".join(list(self._words))
        return EngineError(
            f"{self._name} {how} when it was told {asked!r}",
            hint=f"its last words: {words}" if words else "run its command by hand to see why",
        )


def _start_hint(error: OSError) -> str:
    """Returns what to do about a program that is there and cannot be started."""
    if error.errno == errno.ENOEXEC:
        return "a script needs a first line that names what runs it, such as #!/usr/bin/env python3"
    if error.errno == errno.ENOENT:
        return "the interpreter that its first line names is not there"
    if error.errno == errno.EACCES:
        return "may it be run? chmod +x makes a file one that may"
    return "run its command by hand to see why"


def _read_lines(stream: Iterable[str], lines: "queue.SimpleQueue[str | None]") -> None:
    for line in stream:
        lines.put(line.rstrip("\r\n"))
    lines.put(None)


def _read_words(stream: Iterable[str], words: "collections.deque[str]") -> None:
    for line in stream:
        if line.strip():
            words.append(line.strip())


def _end(process: "subprocess.Popen[str]", readers: Sequence[threading.Thread]) -> None:
    stdin = process.stdin
    if stdin is not None:
        with contextlib.suppress(OSError, ValueError):
            # The word of both GTP and UCI.
            stdin.write("quit\n")
        with contextlib.suppress(OSError):
            stdin.close()
    # Its output ends when it and all it started are gone. Until it is waited for nobody else can
    # get its number, so that the group which is ended is its own.
    readers[0].join(_PARTING_SECONDS)
    if process.returncode is None:
        _kill_group(process)
    process.wait()
    for reader, stream in zip(readers, (process.stdout, process.stderr), strict=True):
        reader.join(_PARTING_SECONDS)
        if stream is not None and not reader.is_alive():
            stream.close()


def _kill_group(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
