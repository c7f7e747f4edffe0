"""A bucket in memory that counts the requests of each process, by kind and as S3 bills them."""

import collections
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from selfplay.store.blob_series import BlobSeries
from selfplay.store.store import Entry, Store

PAGE = 1000
"""Names in one answer to a LIST request."""

Tree = dict[str, Any]
"""Folders by name; a blob is its bytes and its time."""


class MemoryBucket(Store):
    """What one process sees of a bucket.

    Attributes:
        requests: of this process, by kind: GET, HEAD, PUT, LIST, DELETE.
    """

    poll_seconds = 1.0

    def __init__(self, tree: Tree | None = None, clock: Callable[[], float] = time.time) -> None:
        """Begins empty.

        Args:
            tree: what it holds; None for nothing.
            clock: seconds since 1970, for the times of blobs.
        """
        self.url = "memory://runs/fleet"
        self.requests: collections.Counter[str] = collections.Counter()
        self._tree: Tree = {} if tree is None else tree
        self._clock = clock
        self._lock = threading.Lock()

    def another(self) -> "MemoryBucket":
        """Returns the same bucket for another process."""
        return MemoryBucket(self._tree, self._clock)

    def read(self, name: str) -> bytes:
        self._count("GET", 1)
        found = self._find(name)
        if not isinstance(found, tuple):
            raise FileNotFoundError(name)
        return bytes(found[0])

    def write(self, name: str, data: bytes) -> None:
        self._count("PUT", 1)
        *folders, last = name.split("/")
        tree = self._tree
        for folder in folders:
            tree = tree.setdefault(folder, {})
        tree[last] = (data, self._clock())

    def write_new(self, name: str, data: bytes) -> bool:
        if self.exists(name):
            return False
        self.write(name, data)
        return True

    def exists(self, name: str) -> bool:
        return self.entry(name) is not None

    def entry(self, name: str) -> Entry | None:
        self._count("HEAD", 1)
        found = self._find(name)
        if not isinstance(found, tuple):
            return None
        return Entry(name=name, bytes=len(found[0]), time=found[1])

    def entries(self, folder: str = "") -> list[Entry]:
        found = sorted(_blobs(self._find(folder), folder), key=lambda entry: entry.name)
        self._count("LIST", 1 + len(found) // PAGE)
        return found

    def folders(self, folder: str = "") -> list[str]:
        tree = self._find(folder) or {}
        self._count("LIST", 1 + len(tree) // PAGE)
        return sorted(name for name, what in tree.items() if isinstance(what, dict))

    def delete(self, name: str) -> None:
        self._count("DELETE", 1)
        folder, _, last = name.rpartition("/")
        (self._find(folder) or {}).pop(last, None)

    def series(self, folder: str, suffix: str) -> BlobSeries:
        return BlobSeries(self, folder, suffix)

    def _count(self, kind: str, requests: int) -> None:
        # Checkpoints are read by several threads.
        with self._lock:
            self.requests[kind] += requests

    def _find(self, name: str) -> Any:
        """Returns the folder or blob of a name, None if there is none."""
        found: Any = self._tree
        for part in name.split("/") if name else ():
            found = found.get(part) if isinstance(found, dict) else None
        return found


def _blobs(tree: Any, folder: str) -> Iterator[Entry]:
    for name, what in (tree or {}).items():
        full = f"{folder}/{name}" if folder else name
        if isinstance(what, dict):
            yield from _blobs(what, full)
        else:
            yield Entry(name=full, bytes=len(what[0]), time=what[1])
