"""Numbered blobs of many workers: each worker counts its own from 0, consumers follow."""

import abc
import dataclasses
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from selfplay.run.store import Store

_PROBES_AT_ONCE = 8


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MatchFile:
    """One file of matches in a store.

    Attributes:
        worker: who wrote it.
        sequence: its number, counted from 0 by the worker.
        bytes: its size.
        time: when it was written, in seconds since 1970, by the clock of the store.
    """

    worker: str
    sequence: int
    bytes: int
    time: float


class Series(abc.ABC):
    """What `Store.series` returns."""

    @abc.abstractmethod
    def name(self, worker: str, number: int) -> str:
        """Returns the name of a blob."""

    @abc.abstractmethod
    def put(self, worker: str, number: int, data: bytes) -> bool:
        """Stores a blob; returns False, and changes nothing, if its number is taken.

        Raises:
            StorageError: the store is full, cannot be reached or refuses.
        """

    @abc.abstractmethod
    def get(self, worker: str, number: int) -> bytes:
        """Returns a blob.

        Raises:
            FileNotFoundError: there is none of that number.
            StorageError: the store cannot be reached or refuses.
        """

    @abc.abstractmethod
    def remove(self, worker: str, number: int) -> None:
        """Removes a blob; one that is not there is fine."""

    @abc.abstractmethod
    def workers(self) -> list[str]:
        """Returns who has written, sorted."""

    @abc.abstractmethod
    def numbers(self, worker: str) -> list[int]:
        """Returns all numbers of a worker, ascending. Lists: not for every turn of a loop."""

    @abc.abstractmethod
    def next_number(self, worker: str) -> int:
        """Returns the number after the last one of a worker."""

    @abc.abstractmethod
    def following(self, starts: Sequence[tuple[str, int]], limit: int) -> list[list[int]]:
        """Returns for each (worker, number) the numbers from there on that are there.

        At most `limit` each, without a gap, and cheap however many blobs there are.
        """

    @abc.abstractmethod
    def items(self) -> list[MatchFile]:
        """Returns everything, oldest first."""


class BlobSeries(Series):
    """A series in a store whose blobs have no order of their own: names are probed."""

    def __init__(self, store: Store, folder: str, suffix: str) -> None:
        """Looks at `folder` of a store; touches nothing."""
        self._store = store
        self._folder = folder
        self._suffix = suffix
        self._pattern = re.compile(rf"{re.escape(folder)}/([^/]+)/(\d{{8,}}){re.escape(suffix)}")

    def name(self, worker: str, number: int) -> str:
        return f"{self._folder}/{worker}/{number:08d}{self._suffix}"

    def put(self, worker: str, number: int, data: bytes) -> bool:
        return self._store.write_new(self.name(worker, number), data)

    def get(self, worker: str, number: int) -> bytes:
        return self._store.read(self.name(worker, number))

    def remove(self, worker: str, number: int) -> None:
        self._store.delete(self.name(worker, number))

    def workers(self) -> list[str]:
        return self._store.folders(self._folder)

    def numbers(self, worker: str) -> list[int]:
        names = self._store.names(f"{self._folder}/{worker}")
        matches = (self._pattern.fullmatch(name) for name in names)
        return sorted(int(match[2]) for match in matches if match)

    def next_number(self, worker: str) -> int:
        return max(self.numbers(worker), default=-1) + 1

    def following(self, starts: Sequence[tuple[str, int]], limit: int) -> list[list[int]]:
        def probe(start: tuple[str, int]) -> list[int]:
            worker, number = start
            found: list[int] = []
            while len(found) < limit and self._store.exists(self.name(worker, number)):
                found.append(number)
                number += 1
            return found

        if self._store.path is not None or len(starts) < 2:
            return [probe(start) for start in starts]
        # Each probe of a bucket is a round trip, mostly waiting.
        with ThreadPoolExecutor(_PROBES_AT_ONCE) as pool:
            return list(pool.map(probe, starts))

    def items(self) -> list[MatchFile]:
        found = [
            MatchFile(worker=match[1], sequence=int(match[2]), bytes=entry.bytes, time=entry.time)
            for entry in self._store.entries(self._folder)
            if (match := self._pattern.fullmatch(entry.name))
        ]
        return sorted(found, key=lambda item: (item.time, item.worker, item.sequence))
