"""Numbered blobs in stores whose blobs have no order of their own."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from selfplay.store.series import MatchFile, Series
from selfplay.store.store import Store

_PROBES_AT_ONCE = 8


class BlobSeries(Series):
    """A series in a store whose blobs have no order of their own: it probes names."""

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
