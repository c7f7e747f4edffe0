"""The files of a run's matches, newest first; in a directory, without reading every file's time."""

import dataclasses
import heapq
from collections.abc import Iterator

from selfplay.reports.match_filter import Kind
from selfplay.run import RunDirectory
from selfplay.run.ratings import FOLDER as RATINGS

Key = tuple[Kind, str, int]
"""Names a file: its kind, its worker or name, its number."""


@dataclasses.dataclass(frozen=True, order=True)
class ListedFile:
    """A file of matches; ordered by time.

    Attributes:
        time: when it was written, in seconds since 1970. A worker's file never counts as newer than
            the worker's next one: a copied run or a clock that was set back would say so.
        kind: of its matches.
        name: the worker, or of an evaluation the file's name in the store.
        sequence: the worker's number of the file; 0 of an evaluation.
    """

    time: float
    kind: Kind
    name: str
    sequence: int

    @property
    def worker(self) -> str | None:
        """The worker; None of an evaluation."""
        return self.name if self.kind == "selfplay" else None

    @property
    def key(self) -> Key:
        """Names it, whenever it was written."""
        return self.kind, self.name, self.sequence


class MatchListing:
    """The files of a run's matches.

    Workers number their files in the order of writing, so in a directory the names suffice: it asks
    for the times of only those files that `newest` yields. A bucket and Redis list times as well.
    """

    def __init__(self, run: RunDirectory) -> None:
        """Reads nothing yet."""
        self._run = run
        self._sequences: dict[str, list[int]] = {}
        self._times: dict[tuple[str, int], float] = {}
        self._evaluations: list[ListedFile] = []

    def refresh(self) -> None:
        """Lists the files again.

        Raises:
            StorageError: the store cannot be reached.
        """
        if self._run.store.path is None:
            self._sequences, self._times = {}, {}
            for file in self._run.matches.entries():
                self._sequences.setdefault(file.worker, []).append(file.sequence)
                self._times[file.worker, file.sequence] = file.time
            for numbers in self._sequences.values():
                numbers.sort()
        else:
            self._sequences = self._run.matches.sequences()
            if len(self._times) > 2 * self.file_count:
                self._times = {}  # Most of them are of files that were removed.
        self._evaluations = sorted(
            ListedFile(one.time, "evaluation", one.name, 0)
            for one in self._run.store.entries(RATINGS)
            if one.name.endswith(".jsonl")
        )

    @property
    def file_count(self) -> int:
        """How many files of self-play there are."""
        return sum(map(len, self._sequences.values()))

    @property
    def keys(self) -> set[Key]:
        """Names all files."""
        found: set[Key] = {file.key for file in self._evaluations}
        for worker, numbers in self._sequences.items():
            found.update(("selfplay", worker, number) for number in numbers)
        return found

    def newest(self) -> Iterator[ListedFile]:
        """Yields the files, newest first."""
        streams = [self._of_worker(worker) for worker in self._sequences]
        return heapq.merge(*streams, reversed(self._evaluations), reverse=True)

    def _of_worker(self, worker: str) -> Iterator[ListedFile]:
        latest = float("inf")
        for number in reversed(self._sequences[worker]):
            time = self._time(worker, number)
            if time is not None:
                latest = min(latest, time)
                yield ListedFile(latest, "selfplay", worker, number)

    def _time(self, worker: str, number: int) -> float | None:
        known = self._times.get((worker, number))
        if known is None:
            known = self._run.matches.time(worker, number)
            if known is not None:
                self._times[worker, number] = known
        return known
