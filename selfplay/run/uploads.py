"""The upload queue of a worker: holds matches in bounded memory until the store has taken them."""

import collections
import random
import threading
import time
from collections.abc import Callable, Sequence

from selfplay.errors import StorageError
from selfplay.records import MatchRecord, encode_matches
from selfplay.run.match_files import MatchFiles, check_worker
from selfplay.run.unsent_matches import UnsentMatches, renumbered, store_file
from selfplay.telemetry import tracing

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_MOST_GATHERED = 1_000


class UploadQueue:
    """Sends files of matches in order, in a thread of its own, and retries until they are stored.

    It numbers the files: the caller puts `next_sequence` into the ids of matches, then calls `add`.
    """

    def __init__(
        self,
        files: MatchFiles,
        worker: str,
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
        self._max_bytes = max_bytes
        self._on_problem = on_problem
        self._first_pause = first_pause_seconds
        self._next = files.next_sequence(worker)
        self._shift = 0
        self._queue: collections.deque[tuple[int, bytes, tracing.Span]] = collections.deque()
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

    def keep(self, place: UnsentMatches) -> int:
        """Puts the files that are not stored yet on local disk; returns how many they are.

        Any thread may call it. A file that is being sent at this moment may end up in both places;
        storing it again later changes nothing.

        Raises:
            StorageError: the disk is full or refuses the write.
        """
        with self._changed:
            self._close_file()
            shift = self._shift
            files = list(self._queue)
        for number, data, span in files:
            sent = renumbered(data, self.worker, number + shift) if shift else data
            place.add(self.worker, number + shift, sent)
            span.note("kept on local disk")
            span.end()
        return len(files)

    def _close_file(self) -> None:
        """Puts the matches gathered into the queue, as one file; needs the lock."""
        if not self._gathered:
            return
        span = self._gathered_span
        span.set(matches=len(self._gathered))
        data = encode_matches(self._gathered, traceparent=span.traceparent)
        self._gathered = []
        self._queue.append((self._next, data, span))
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
                number, data, span = self._queue[0]
            try:
                self._send(number, data)
            except StorageError as error:
                if not self.problem:
                    self._on_problem(str(error))
                    span.note(str(error))
                self.problem = str(error)
                with self._changed:
                    # Random, so that workers do not all retry in the same instant.
                    self._changed.wait_for(lambda: self._ending, pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            self.problem = ""
            pause = self._first_pause
            span.set(file=self._files.series_name(self.worker, number + self._shift))
            span.end()
            with self._changed:
                self._queue.popleft()
                self._bytes -= len(data)
                self.stored += 1
                self._changed.notify_all()

    def _send(self, number: int, data: bytes) -> None:
        """Stores one file, under another number if matches of another process have its own."""
        shift = self._shift
        sequence = number + shift
        sent = renumbered(data, self.worker, sequence) if shift else data
        stored = store_file(self._files, self.worker, sequence, sent, on_problem=self._on_problem)
        with self._changed:
            self._shift += stored - sequence
