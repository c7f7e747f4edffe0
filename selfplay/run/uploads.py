"""The upload queue of a worker: holds matches until the store has taken them."""

import collections
import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from selfplay.errors import StorageError
from selfplay.records import MatchRecord, encode_matches
from selfplay.run.match_files import MatchFiles, check_worker
from selfplay.run.unsent_matches import UnsentMatches, renumbered, store_file
from selfplay.telemetry import tracing

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_MOST_GATHERED = 1_000


class _File(NamedTuple):
    """A file of matches that is not stored yet.

    Attributes:
        number: in the order of the queue.
        sequence: under which local disk has it, until `keep` gives it the number of the store.
        data: its content.
        span: ends when it is stored.
    """

    number: int
    sequence: int
    data: bytes
    span: tracing.Span


class UploadQueue:
    """Sends files of matches in order, in a thread of its own, and retries until they are stored.

    It numbers the files: the caller puts `next_sequence` into the ids of matches, then calls `add`.
    Until the store has taken matches, they are in memory, which is bounded, and on local disk, so
    that not even SIGKILL loses them.
    """

    def __init__(
        self,
        files: MatchFiles,
        worker: str,
        unsent: UnsentMatches,
        *,
        max_bytes: int = 64 << 20,
        on_problem: Callable[[str], None] = lambda text: None,
        first_pause_seconds: float = _FIRST_PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Asks the store for the worker's next number, and starts the thread.

        Args:
            files: of the run.
            worker: that plays the matches.
            unsent: keeps them on local disk. A disk that refuses is ignored until `keep`.
            max_bytes: above this, compressed, `has_room` is False.
            on_problem: called in the thread, with the reason, when sending begins to fail.
            first_pause_seconds: before the first repetition; doubled each time, up to 30.
            clock: returns seconds.

        Raises:
            StorageError: the store cannot be reached.
        """
        self.worker = check_worker(worker)
        self.problem = ""
        self.stored = 0
        self._files = files
        self._unsent = unsent
        self._max_bytes = max_bytes
        self._on_problem = on_problem
        self._first_pause = first_pause_seconds
        self._next = files.next_sequence(worker)
        self._shift = 0
        self._queue: collections.deque[_File] = collections.deque()
        self._bytes = 0
        self._clock = clock
        self._gathered: list[MatchRecord] = []
        self._gathered_since = 0.0
        self._gathered_shift = 0
        self._gathered_span = tracing.Span()
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._send_all, name="uploads", daemon=True)
        self._thread.start()

    @property
    def next_sequence(self) -> int:
        """The number of the file that the next matches go into; part of their ids."""
        with self._changed:
            # All matches of a file have the number that its first ones were given.
            return self._next + (self._gathered_shift if self._gathered else self._shift)

    @property
    def kept_in(self) -> str:
        """The folder on local disk in which `keep` puts them."""
        return str(self._unsent.folder)

    @property
    def pending(self) -> int:
        """How many files are not stored yet."""
        with self._changed:
            return len(self._queue) + bool(self._gathered)

    @property
    def pending_bytes(self) -> int:
        """Bytes of the files that are not stored yet."""
        with self._changed:
            return self._bytes

    @property
    def has_room(self) -> bool:
        """Whether there is room for more matches; if not, the worker should wait."""
        with self._changed:
            return self._bytes <= self._max_bytes

    def add(self, matches: Sequence[MatchRecord], *, gather_seconds: float = 0.0) -> None:
        """Takes matches, whose ids have the number `next_sequence`; never waits.

        It makes a span for each file, which ends when the file is stored.

        Args:
            matches: finished ones; none to close the file in which earlier ones wait.
            gather_seconds: the file takes in what is added until its first matches are so old, or
                it has 1,000; 0 to close it now. `flush`, `close` and `keep` close it too.
        """
        with self._changed:
            if matches and not self._gathered:
                self._gathered_since = self._clock()
                self._gathered_shift = self._shift
                self._gathered_span = tracing.begin("store matches")
            self._gathered += matches
            old = self._clock() - self._gathered_since >= gather_seconds
            if old or len(self._gathered) >= _MOST_GATHERED:
                self._close_file()
            elif matches:
                self._save(self._next + self._gathered_shift, self._encoded())

    def wait(self, seconds: float) -> bool:
        """Waits for room, at most `seconds`; returns whether there is any."""
        with self._changed:
            return self._changed.wait_for(lambda: self._bytes <= self._max_bytes, seconds)

    def flush(self, seconds: float) -> bool:
        """Waits until everything is stored, at most `seconds`; returns whether it is."""
        with self._changed:
            self._close_file()
            self._changed.wait_for(lambda: not self._queue or self._ending, seconds)
            return not self._queue

    def close(self, seconds: float) -> bool:
        """Flushes and ends the thread; returns whether everything is stored."""
        complete = self.flush(seconds)
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(0 if not complete else None)
        return complete

    def keep(self) -> int:
        """Makes sure that local disk has what is not stored yet; returns how many files these are.

        Any thread may call it. The next worker of the run on this machine stores them. If that
        stores one again that is being sent at this moment, it changes nothing.

        Raises:
            StorageError: the disk is full or refuses the write.
        """
        with self._changed:
            self._close_file()
            files = list(self._queue)
            shift = self._shift
        # The last one first, as one file may take the number that the next one had until now.
        for file in reversed(files):
            sequence = file.number + shift
            data = self._numbered(file.data, sequence, shift)
            self._unsent.add(self.worker, sequence, data)
            if sequence != file.sequence:
                self._unsent.remove(self.worker, file.sequence)
            file.span.note("kept on local disk")
            file.span.end()
        return len(files)

    def _encoded(self) -> bytes:
        """Returns the matches gathered as a file."""
        return encode_matches(self._gathered, traceparent=self._gathered_span.traceparent)

    def _save(self, sequence: int, data: bytes) -> None:
        """Puts a file on local disk, if that takes it; `keep` says if it does not."""
        with contextlib.suppress(StorageError):
            data = self._numbered(data, sequence, self._shift)
            self._unsent.add(self.worker, sequence, data, sync=False)

    def _numbered(self, data: bytes, sequence: int, shift: int) -> bytes:
        """Returns a file with the ids of this number.

        It has them already, unless another process uses the name of this worker.
        """
        return renumbered(data, self.worker, sequence) if shift else data

    def _close_file(self) -> None:
        """Puts the matches gathered into the queue, as one file; needs the lock."""
        if not self._gathered:
            return
        span = self._gathered_span
        span.set(matches=len(self._gathered))
        sequence, data = self._next + self._gathered_shift, self._encoded()
        self._gathered = []
        self._save(sequence, data)
        self._queue.append(_File(self._next, sequence, data, span))
        self._next += 1
        self._bytes += len(data)
        self._changed.notify_all()

    def _send_all(self) -> None:
        pause = self._first_pause
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._ending)
                if self._ending:
                    return
                file = self._queue[0]
            try:
                self._send(file)
            except StorageError as error:
                if not self.problem:
                    self._on_problem(str(error))
                    file.span.note(str(error))
                self.problem = str(error)
                with self._changed:
                    # Random, so that workers do not all retry in the same instant.
                    self._changed.wait_for(lambda: self._ending, pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            self.problem = ""
            pause = self._first_pause
            file.span.set(file=self._files.series_name(self.worker, file.number + self._shift))
            file.span.end()
            self._unsent.remove(self.worker, file.sequence)
            with self._changed:
                self._queue.popleft()
                self._bytes -= len(file.data)
                self.stored += 1
                self._changed.notify_all()

    def _send(self, file: _File) -> None:
        """Stores one file, under another number if matches of another process have its own."""
        shift = self._shift
        sequence = file.number + shift
        sent = self._numbered(file.data, sequence, shift)
        stored = store_file(self._files, self.worker, sequence, sent, on_problem=self._on_problem)
        with self._changed:
            self._shift += stored - sequence
