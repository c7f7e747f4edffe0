"""Finished matches on local disk that the store did not take before their worker ended."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from selfplay.errors import RecordError, StorageError
from selfplay.records import replace_match_ids
from selfplay.run.match_files import MatchFiles, check_worker
from selfplay.store.files import atomic_write, storage_errors

_LOCK = ".lock"


class UnsentMatches:
    """The files of matches that workers of one run have kept on this machine.

    A worker that ends while the store cannot be reached keeps its finished matches here. The next
    worker of the run on this machine stores them, under the id of the first.
    """

    def __init__(self, url: str, created: str) -> None:
        """Reads nothing yet.

        Args:
            url: of the run.
            created: when it was created, which tells a later run at the same place from it.
        """
        place = os.path.abspath(url) if "://" not in url else url
        digest = hashlib.sha256(f"{place} {created}".encode()).hexdigest()[:16]
        self.folder = _cache() / "matches" / digest

    def add(self, worker: str, sequence: int, data: bytes) -> None:
        """Keeps one file of matches, whose ids are those of the worker and number.

        Raises:
            StorageError: the disk is full or refuses the write.
        """
        file = self.folder / check_worker(worker) / f"{sequence:08d}.parquet"
        with storage_errors(self.folder):
            file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, data)

    def files(self) -> list[Path]:
        """Returns what is kept, in the order in which it was played."""
        return sorted(self.folder.glob("*/[0-9]*.parquet"))

    def store(
        self, matches: MatchFiles, *, over: Callable[[], bool] = lambda: False
    ) -> tuple[int, str]:
        """Stores what is kept in its run, and removes it here.

        Args:
            matches: of the run.
            over: returns whether to stop.

        Returns:
            How many files were stored, and what keeps the rest, "" if there is none.
        """
        stored = 0
        with self._held() as held:
            for file in self.files() if held else ():
                if over():
                    return stored, "there was no time left"
                try:
                    with storage_errors(file):
                        data = file.read_bytes()
                    store_file(matches, file.parent.name, int(file.stem), data)
                    with storage_errors(file):
                        file.unlink()
                except StorageError as error:
                    return stored, str(error)
                except RecordError as error:
                    # It is kept for a person to look at, and never read again.
                    file.rename(file.with_suffix(".damaged"))
                    return stored, str(error)
                stored += 1
        return stored, ""

    @contextlib.contextmanager
    def _held(self) -> Iterator[bool]:
        """Yields whether this process alone may store what is kept."""
        with contextlib.ExitStack() as stack:
            held = bool(self.files())
            try:
                if held:
                    descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
                    stack.callback(os.close, descriptor)
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                # Another process stores the files, or the folder is read-only.
                held = False
            yield held


def store_file(
    files: MatchFiles,
    worker: str,
    sequence: int,
    data: bytes,
    *,
    on_problem: Callable[[str], None] = lambda text: None,
) -> int:
    """Stores a file of matches, under a later number if other matches have its own.

    Args:
        files: of the run.
        worker: that played them.
        sequence: the number of the file, which is in the ids of its matches.
        data: the file.
        on_problem: called if a stored file of that number is damaged.

    Returns:
        The number they have now.

    Raises:
        StorageError: the store is full, cannot be reached or refuses.
        RecordError: the file to be stored is damaged.
    """
    number, sent = sequence, data
    while True:
        try:
            if files.put_encoded(worker, number, sent):
                return number
        except RecordError as error:
            # The stored file is damaged. This process cannot repair it, so it takes another number.
            on_problem(str(error))
        number = max(number + 1, files.next_sequence(worker))
        sent = renumbered(data, worker, number)


def renumbered(data: bytes, worker: str, sequence: int) -> bytes:
    """Returns a file of matches with the ids that belong to another number; all else is kept.

    Raises:
        RecordError: it is damaged.
    """
    return replace_match_ids(
        data,
        lambda index: f"{worker}-{sequence:08d}-{index:04d}",
        source="a file of matches that is not stored yet",
    )


def _cache() -> Path:
    if root := os.environ.get("SELFPLAY_CACHE"):
        return Path(root)
    # Not at the top: a probe imports this package, and must not wait for JAX.
    from selfplay.startup import cache_directory

    return cache_directory()
