"""The upload queue of a worker: holds matches in bounded memory until the store has taken them."""

import collections
import random
import threading
from collections.abc import Callable, Sequence

from selfplay.errors import StorageError
from selfplay.records import MatchRecord, encode_matches
from selfplay.run.match_files import MatchFiles, check_worker
from selfplay.run.unsent_matches import UnsentMatches, renumbered, store_file
from selfplay.telemetry import tracing

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0


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
    ) -> None:
        """Asks the store for the worker's next number, and starts the thread.

        Args:
            files: of the run.
            worker: that plays the matches.
            max_bytes: above this, compressed, `has_room` is False.
            on_problem: called in the thread, with the reason, when sending begins to fail.
            first_pause_seconds: before the first repetition; doubled each time, up to 30.

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
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._send_all, name="uploads", daemon=True)
        self._thread.start()

    @property
    def next_sequence(self) -> int:
        """The number of the file that is added next; part of the ids of its matches."""
        with self._changed:
            return self._next + self._shift

    @property
    def pending(self) -> int:
        """How many files are not stored yet."""
        with self._changed:
            return len(self._queue)

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

    def add(self, matches: Sequence[MatchRecord]) -> None:
        """Takes one file of matches, whose ids have the number `next_sequence`; never waits.

        It makes a span that ends when the file is stored.
        """
        span = tracing.begin("store matches", matches=len(matches))
        data = encode_matches(matches, traceparent=span.traceparent)
        with self._changed:
            self._queue.append((self._next, data, span))
            self._next += 1
            self._bytes += len(data)
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Waits for room, at most `seconds`; returns whether there is any."""
        with self._changed:
            return self._changed.wait_for(lambda: self._bytes <= self._max_bytes, seconds)

    def flush(self, seconds: float) -> bool:
        """Waits until everything is stored, at most `seconds`; returns whether it is."""
        with self._changed:
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
            shift = self._shift
            files = list(self._queue)
        for number, data, span in files:
            sent = renumbered(data, self.worker, number + shift) if shift else data
            place.add(self.worker, number + shift, sent)
            span.note("kept on local disk")
            span.end()
        return len(files)

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
