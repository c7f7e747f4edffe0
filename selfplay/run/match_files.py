"""The finished matches of a run: written once, never changed, taken in by whoever trains."""

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from selfplay.errors import ConfigError, RecordError
from selfplay.records import MatchRecord, decode_matches, encode_matches, same_content
from selfplay.store.directory_store import DirectoryStore
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.series import MatchFile
from selfplay.store.store import Store

FOLDER = "matches"
REFUSED = "refused"

_SUFFIX = ".parquet"
_SILENCE_SHARE = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
_GAP_SECONDS = 60.0


class MatchFiles:
    """Finished matches under RUN/matches: any number of workers, each numbers its files from 0.

    A worker writes its files in order and leaves out no number.
    """

    def __init__(
        self, place: Place | Store, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Looks at a run; touches nothing.

        Args:
            place: the run.
            clock: seconds, to pace the looking for new files.
        """
        self.store = open_store(place)
        self._series = self.store.series(FOLDER, _SUFFIX)
        self._clock = clock
        self._workers: dict[str, _Watch] = {}

    def name(self, worker: str, sequence: int) -> str:
        """Returns what to call a file in messages."""
        return self.store.label(self._series.name(worker, sequence))

    def put(self, worker: str, sequence: int, matches: Sequence[MatchRecord]) -> bool:
        """Stores matches; returns whether the file holds them afterwards.

        A process that was killed and resumed plays the same matches again: storing them a second
        time changes nothing. False means that other matches lie there, which stay untouched.

        Raises:
            ConfigError: the worker's name cannot be part of a file name.
            StorageError: the store is full, cannot be reached or refuses the write.
            RecordError: a file lies there that cannot be read.
        """
        return self.put_encoded(worker, sequence, encode_matches(matches))

    def put_encoded(self, worker: str, sequence: int, data: bytes) -> bool:
        """Stores the bytes of a file of matches; see `put`."""
        check_worker(worker)
        if self._series.put(worker, sequence, data):
            self.store.notify(FOLDER)
            return True
        try:
            present = self._series.get(worker, sequence)
        except FileNotFoundError:
            # It came, and was removed since: what a consumer has taken need not come again.
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
        try:
            return self._series.get(worker, sequence)
        except FileNotFoundError:
            name = self.name(worker, sequence)
            raise RecordError(f"{name} cannot be read: No such file or directory") from None

    def workers(self) -> list[str]:
        """Returns who has stored matches, sorted."""
        return [name for name in self._series.workers() if _WORKER.fullmatch(name)]

    def next_sequence(self, worker: str) -> int:
        """Returns the number after the last file of a worker."""
        check_worker(worker)
        refused = (name.rpartition("/")[2] for name in self.store.names(f"{REFUSED}/{worker}"))
        # Consumers have gone past the number of a file that was set aside.
        used = (int(name[:8]) + 1 for name in refused if name[:8].isdecimal())
        return max(self._series.next_number(worker), *used, 0)

    def after(self, cursor: Mapping[str, int], limit: int = 64) -> list[tuple[str, int]]:
        """Returns files that a consumer has not taken yet, as worker and number.

        The next numbers are probed, nothing is listed, so it costs little however many files
        there are. A worker that has been silent for long is looked at less often.

        Args:
            cursor: the next number of each worker known so far.
            limit: at most so many.

        Returns:
            The lowest numbers of each worker, in turns, so that none waits for another.
        """
        now = self._clock()
        asked: list[tuple[str, int]] = []
        for worker in self.workers():
            watch = self._workers.setdefault(worker, _Watch(now))
            if now >= watch.next_look:
                asked.append((worker, self._start(worker, cursor.get(worker), watch)))
        share = max(1, limit // len(asked)) if asked else limit
        found = self._series.following(asked, share)
        for index, ((worker, start), numbers) in enumerate(zip(asked, found, strict=True)):
            watch = self._workers[worker]
            if not numbers and now - watch.gap_checked >= _GAP_SECONDS:
                # A number may be missing for good, if somebody removed a file by hand.
                watch.gap_checked = now
                later = [number for number in self._series.numbers(worker) if number >= start]
                found[index] = numbers = later[:share]
            if numbers:
                watch.last_news = watch.gap_checked = now
            pause = (now - watch.last_news) * _SILENCE_SHARE
            watch.next_look = now + min(pause, _LONGEST_PAUSE_SECONDS)
        turns = [
            (number - start, worker, number)
            for (worker, start), numbers in zip(asked, found, strict=True)
            for number in numbers
        ]
        return [(worker, number) for _, worker, number in sorted(turns)][:limit]

    def entries(self) -> list[MatchFile]:
        """Returns everything, oldest first. Lists: not for every turn of a loop."""
        return self._series.items()

    def bytes_used(self) -> int:
        """Returns the bytes of all files. Lists, as `entries`."""
        return sum(item.bytes for item in self.entries())

    def remove(self, worker: str, sequence: int) -> None:
        """Removes a file; one that is not there is fine."""
        self._series.remove(worker, sequence)

    def set_aside(self, worker: str, sequence: int, reason: str) -> str:
        """Moves a file that cannot be trained on out of the matches; returns where it lies now.

        Args:
            worker: whose file.
            sequence: its number, which stays used up for consumers: they go on with the next.
            reason: stored beside it.
        """
        name = f"{REFUSED}/{worker}/{sequence:08d}"
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

        A file that has not been taken in yet, or is still in the replay window, always stays,
        and so does the last one of a worker, from which it goes on counting.

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
            return self.store.clear_stale(FOLDER)
        return 0

    def _start(self, worker: str, wanted: int | None, watch: "_Watch") -> int:
        """Returns where to look first; for a worker not seen before, its first file."""
        if wanted is not None:
            return wanted
        if watch.first is None:
            if self._series.following([(worker, 0)], 1)[0]:
                watch.first = 0
            else:
                watch.first = min(self._series.numbers(worker), default=0)
        return watch.first


class _Watch:
    """When a worker last had something new, and when to look again."""

    def __init__(self, now: float) -> None:
        self.last_news = self.gap_checked = now
        self.next_look = now
        self.first: int | None = None


_WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_worker(worker: str) -> str:
    """Returns the name of a worker.

    Raises:
        ConfigError: it cannot be part of a file name.
    """
    if not _WORKER.fullmatch(worker):
        raise ConfigError(
            f"the worker id is {worker!r}, but must be letters, digits, dots, dashes and "
            "underscores"
        )
    return worker
