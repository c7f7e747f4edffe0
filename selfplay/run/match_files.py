"""The files of finished matches of a run: written once, never changed, read by the trainer."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from selfplay.errors import ConfigError, RecordError, StorageError
from selfplay.records import MatchRecord, decode_matches, encode_matches, same_content
from selfplay.run.new_files import WORKER, NewFiles
from selfplay.store.directory_store import DirectoryStore
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.series import MatchFile
from selfplay.store.store import Store

FOLDER = "matches"
REANALYSES = "reanalyses"
REFUSED = "refused"

_SUFFIX = ".parquet"
_READ_AT_ONCE = 8


class MatchFiles:
    """Files of finished matches under RUN/matches, or of such that were searched again.

    Each worker numbers its files from 0, writes them in order and leaves out no number.
    """

    def __init__(
        self,
        place: Place | Store,
        folder: str = FOLDER,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Looks at a run; touches nothing.

        Args:
            place: the run.
            folder: of the run: `FOLDER`, or `REANALYSES` for matches that were searched again.
            clock: returns seconds; decides when to look for new files again.
        """
        self.store = open_store(place)
        self._folder = folder
        self._refused = REFUSED if folder == FOLDER else f"{REFUSED}/{folder}"
        self._series = self.store.series(folder, _SUFFIX)
        self._new_files = NewFiles(self._series, clock)
        self._read_ahead: dict[tuple[str, int], bytes] = {}

    def name(self, worker: str, sequence: int) -> str:
        """Returns what to call a file in messages."""
        return self.store.label(self._series.name(worker, sequence))

    def series_name(self, worker: str, sequence: int) -> str:
        """Returns the name of a file in the store."""
        return self._series.name(worker, sequence)

    def put(
        self, worker: str, sequence: int, matches: Sequence[MatchRecord], *, traceparent: str = ""
    ) -> bool:
        """Stores matches; returns whether the file holds them afterwards.

        A process that was killed and resumed plays the same matches again; storing them a second
        time changes nothing. False means that the file holds other matches; they stay as they are.

        Raises:
            ConfigError: the worker's name cannot be part of a file name.
            StorageError: the store is full, cannot be reached or refuses the write.
            RecordError: a file lies there that cannot be read.
        """
        data = encode_matches(matches, traceparent=traceparent)
        return self.put_encoded(worker, sequence, data)

    def put_encoded(self, worker: str, sequence: int, data: bytes) -> bool:
        """Stores the bytes of a file of matches; see `put`."""
        check_worker(worker)
        if self._series.put(worker, sequence, data):
            self.store.notify(self._folder)
            return True
        try:
            present = self._series.get(worker, sequence)
        except FileNotFoundError:
            # It was stored and removed since. A consumer that has read it does not need it again.
            return True
        if present == data:
            return True
        name = self.name(worker, sequence)
        return same_content(
            decode_matches(present, source=name), decode_matches(data, source="the new matches")
        )

    def has(self, worker: str, sequence: int) -> bool:
        """Returns whether there is a file of that number."""
        return bool(self._series.following([(worker, sequence)], 1)[0])

    def get(self, worker: str, sequence: int) -> list[MatchRecord]:
        """Returns the matches of one file.

        Raises:
            RecordError: it is missing or damaged.
            StorageError: the store cannot be reached.
        """
        return decode_matches(
            self.get_encoded(worker, sequence), source=self.name(worker, sequence)
        )

    def get_encoded(self, worker: str, sequence: int) -> bytes:
        """Returns the bytes of one file.

        Raises:
            RecordError: it is missing.
            StorageError: the store cannot be reached.
        """
        ahead = self._read_ahead.pop((worker, sequence), None)
        if ahead is not None:
            return ahead
        try:
            return self._series.get(worker, sequence)
        except FileNotFoundError:
            name = self.name(worker, sequence)
            raise RecordError(f"{name} cannot be read: No such file or directory") from None

    def workers(self) -> list[str]:
        """Returns the workers that have stored matches, sorted."""
        return self._new_files.workers()

    def next_sequence(self, worker: str) -> int:
        """Returns the number after the last file of a worker."""
        check_worker(worker)
        refused = (
            name.rpartition("/")[2] for name in self.store.names(f"{self._refused}/{worker}")
        )
        # Consumers have read past the number of a file that was set aside.
        used = (int(name[:8]) + 1 for name in refused if name[:8].isdecimal())
        return max(self._series.next_number(worker), *used, 0)

    def after(self, cursor: Mapping[str, int], limit: int = 64) -> list[tuple[str, int]]:
        """Returns files that a consumer has not read yet, as worker and number.

        It probes the next numbers and lists nothing, so the cost does not grow with the number of
        files. It asks for 64 workers at most, those that have waited longest, and less often for
        workers that have stored nothing for long. What it finds above `limit`, the next calls
        return.

        Args:
            cursor: the next number of each worker known so far.
            limit: at most so many.

        Returns:
            The lowest numbers of each worker; workers take turns, so that none has to wait.
        """
        return self._new_files.after(cursor, limit)

    def prefetch(self, files: Sequence[tuple[str, int]]) -> None:
        """Reads several files at once for the next calls of `get`.

        Most of the time that a remote store takes for one file is waiting. A directory is not read.

        Args:
            files: worker and number of each.
        """
        self._read_ahead.clear()
        if self.store.path is None and len(files) > 1:
            with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
                found = zip(files, pool.map(self._read, files), strict=True)
                self._read_ahead = {file: data for file, data in found if data is not None}

    def _read(self, file: tuple[str, int]) -> bytes | None:
        try:
            return self._series.get(*file)
        except (FileNotFoundError, StorageError):
            # Whoever asks for it gets the error.
            return None

    @property
    def workers_at_work(self) -> int:
        """How many workers `after` has found new files of in the last five minutes."""
        return self._new_files.at_work

    def entries(self) -> list[MatchFile]:
        """Returns all files, oldest first. Slow: it lists them."""
        return self._series.items()

    def sequences(self) -> dict[str, list[int]]:
        """Returns the numbers of all files by worker, ascending; reads names only."""
        return {worker: self._series.numbers(worker) for worker in self._series.workers()}

    def time(self, worker: str, sequence: int) -> float | None:
        """Returns when a file was written, in seconds since 1970; None if it is not there."""
        entry = self.store.entry(self._series.name(worker, sequence))
        return None if entry is None else entry.time

    def bytes_used(self) -> int:
        """Returns the bytes of all files. Slow, as `entries`."""
        return sum(item.bytes for item in self.entries())

    def remove(self, worker: str, sequence: int) -> None:
        """Removes a file, if it is there."""
        self._series.remove(worker, sequence)

    def set_aside(self, worker: str, sequence: int, reason: str) -> str:
        """Moves a file that cannot be trained on out of the matches; returns where it lies now.

        Args:
            worker: its writer.
            sequence: its number, which is not used again; consumers go on with the next one.
            reason: stored beside it.
        """
        name = f"{self._refused}/{worker}/{sequence:08d}"
        try:
            data = self._series.get(worker, sequence)
        except FileNotFoundError:
            data = None
        self.store.write(f"{name}.txt", f"{reason}\n".encode())
        if data is not None:
            self.store.write(f"{name}{_SUFFIX}", data)
            self._series.remove(worker, sequence)
        return self.store.label(f"{name}.txt")

    def prune(
        self,
        max_bytes: int,
        *,
        cursor: Mapping[str, int],
        window: Collection[tuple[str, int]] = (),
    ) -> list[tuple[str, int]]:
        """Removes the oldest files until the rest fits, and returns which.

        These always stay: files that are not taken in yet or still in the replay window, and the
        last file of each worker, which keeps the count of its numbers.

        Args:
            max_bytes: of all files together; 0 for no limit.
            cursor: the next number of each worker that the newest checkpoint has not taken in.
            window: files whose positions may still be sampled from that checkpoint on.
        """
        if max_bytes <= 0:
            return []
        items = self.entries()
        excess = sum(item.bytes for item in items) - max_bytes
        last = {
            item.worker: item.sequence for item in sorted(items, key=lambda item: item.sequence)
        }
        kept = set(window)
        removed: list[tuple[str, int]] = []
        for item in items:
            if excess <= 0:
                break
            file = (item.worker, item.sequence)
            ingested = item.sequence < cursor.get(item.worker, 0)
            if not ingested or file in kept or item.sequence == last[item.worker]:
                continue
            self._series.remove(*file)
            excess -= item.bytes
            removed.append(file)
        return removed

    def clear_stale(self) -> int:
        """Removes what killed writers left half-written; returns how many files."""
        if isinstance(self.store, DirectoryStore):
            return self.store.clear_stale(self._folder)
        return 0


def check_worker(worker: str) -> str:
    """Returns the name of a worker.

    Raises:
        ConfigError: it cannot be part of a file name.
    """
    if not WORKER.fullmatch(worker):
        raise ConfigError(
            f"the worker id is {worker!r}, but must be letters, digits, dots, dashes and "
            "underscores"
        )
    return worker
