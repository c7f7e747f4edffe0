"""Finished matches on local disk, until the store of their run has taken them."""

import contextlib
import fcntl
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from selfplay.errors import RecordError, StorageError
from selfplay.records import replace_match_ids
from selfplay.run.match_files import MatchFiles, check_worker
from selfplay.store.files import atomic_write, storage_errors

_LOCK = ".lock"


class UnsentMatches:
    """The files of matches that workers of one run have kept on this machine.

    A worker keeps its finished matches here until the store has taken them. If it ends before that,
    whatever ends it, the next worker of the run on this machine stores them, under the id of the
    first.

    Each process writes into a folder of its own, `WORKER@TOKEN`, and locks it for as long as it
    lives. So nobody takes the files of a worker that still runs.
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
        self._token = uuid.uuid4().hex[:8]
        self._locks: dict[Path, int] = {}

    def add(self, worker: str, sequence: int, data: bytes, *, sync: bool = True) -> None:
        """Keeps one file of matches, whose ids are those of the worker and number.

        Args:
            worker: who played them.
            sequence: number of the file; an earlier one of that number is replaced.
            data: the file.
            sync: whether it must survive a power failure, not just the end of the process.

        Raises:
            StorageError: the disk is full or refuses the write.
        """
        folder = self._own(worker)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if folder not in self._locks and (lock := _lock(folder)) is not None:
                self._locks[folder] = lock
        atomic_write(folder / _file_name(sequence), data, sync=sync)

    def remove(self, worker: str, sequence: int) -> None:
        """Forgets a file that this process has kept, if there is one."""
        with contextlib.suppress(OSError):
            (self._own(worker) / _file_name(sequence)).unlink(missing_ok=True)

    def close(self) -> None:
        """Leaves what this process has kept to the next worker."""
        for folder, lock in self._locks.items():
            _remove_if_empty(folder)
            os.close(lock)
        self._locks.clear()

    def files(self) -> list[Path]:
        """Returns what is kept, those of a process in the order in which it played them."""
        return sorted(self.folder.glob("*/[0-9]*.parquet"))

    def store(
        self, matches: MatchFiles, *, over: Callable[[], bool] = lambda: False
    ) -> tuple[int, str]:
        """Stores in the run what processes that have ended kept, and removes it here.

        Args:
            matches: of the run.
            over: returns whether to stop.

        Returns:
            How many files were stored, and what keeps the rest, "" if there is none.
        """
        stored = 0
        for folder in sorted({file.parent for file in self.files()}):
            with _held(folder) as held:
                for file in sorted(folder.glob("[0-9]*.parquet")) if held else ():
                    if over():
                        return stored, "there was no time left"
                    try:
                        _store_kept(matches, file)
                    except StorageError as error:
                        return stored, str(error)
                    except RecordError as error:
                        # It is kept for a person to look at, and never read again.
                        file.rename(file.with_suffix(".damaged"))
                        return stored, str(error)
                    stored += 1
                if held:
                    _remove_if_empty(folder)
        return stored, ""

    def _own(self, worker: str) -> Path:
        return self.folder / f"{check_worker(worker)}@{self._token}"


def _file_name(sequence: int) -> str:
    return f"{sequence:08d}.parquet"


def _store_kept(matches: MatchFiles, file: Path) -> None:
    """Stores one file under the id of the worker that kept it, and removes it here."""
    # Earlier versions named the folder by the worker alone.
    worker = file.parent.name.partition("@")[0]
    with storage_errors(file):
        data = file.read_bytes()
    store_file(matches, worker, int(file.stem), data)
    with storage_errors(file):
        file.unlink()


def _lock(folder: Path) -> int | None:
    """Returns the lock of a folder as a descriptor; None if another process has it."""
    descriptor = None
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # Or the folder is read-only, or its file system has no locks.
        if descriptor is not None:
            os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Yields whether this process alone may store what is kept in a folder."""
    lock = _lock(folder)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _remove_if_empty(folder: Path) -> None:
    """Removes the folder of a process that holds nothing but its lock, and that of its run."""
    with contextlib.suppress(OSError):
        if [entry.name for entry in folder.iterdir()] == [_LOCK]:
            (folder / _LOCK).unlink()
            folder.rmdir()
            folder.parent.rmdir()


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
