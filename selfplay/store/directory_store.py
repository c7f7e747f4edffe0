"""A store in a directory: local disk, NFS, a volume that several containers mount."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from selfplay.errors import StorageError
from selfplay.store.blob_series import BlobSeries
from selfplay.store.files import (
    TEMPORARY_PREFIX,
    atomic_write,
    is_stale_temporary,
    storage_errors,
    sync_directory,
    temporary_file,
)
from selfplay.store.store import Entry, Store, check_name

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


class DirectoryStore(Store):
    """Each blob is a file, written under a temporary name, synced, then renamed."""

    poll_seconds = 0.2
    path: Path

    def __init__(self, path: Path) -> None:
        """Takes the directory, which need not exist yet; touches nothing."""
        self.path = path
        self.url = str(path)

    def read(self, name: str) -> bytes:
        file = self.path / check_name(name)
        try:
            return file.read_bytes()
        except OSError as error:
            if error.errno in _NOT_THERE:
                raise FileNotFoundError(error.errno, "no such blob", str(file)) from None
            raise StorageError(f"{file} cannot be read: {error.strerror or error}") from error

    def write(self, name: str, data: bytes) -> None:
        atomic_write(self.path / check_name(name), data)

    def write_new(self, name: str, data: bytes) -> bool:
        file = self.path / check_name(name)
        with storage_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.exists():
                return False
            with temporary_file(file, data) as temporary:
                try:
                    # Unlike renaming, linking fails if the name is taken.
                    os.link(temporary, file)
                except FileExistsError:
                    return False
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    temporary.rename(file)
            sync_directory(file.parent)
        return True

    def exists(self, name: str) -> bool:
        return (self.path / check_name(name)).is_file()

    def entry(self, name: str) -> Entry | None:
        file = self.path / check_name(name)
        try:
            status = file.stat()
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise StorageError(f"{file} cannot be read: {error.strerror or error}") from error
        if not stat.S_ISREG(status.st_mode):
            return None
        return Entry(name=name, bytes=status.st_size, time=status.st_mtime)

    def entries(self, folder: str = "") -> list[Entry]:
        return sorted(self._scan(folder), key=lambda entry: entry.name)

    def names(self, folder: str = "") -> list[str]:
        """Returns the full names of the blobs under a folder, sorted; asks for no size or time."""
        top = self.path / folder
        found = []
        for directory, folders, files in os.walk(top, onerror=_unless_missing, followlinks=True):
            folders[:] = [name for name in folders if not name.startswith(".")]
            prefix = Path(directory).relative_to(self.path).as_posix()
            prefix = "" if prefix == "." else f"{prefix}/"
            found += [f"{prefix}{name}" for name in files if not name.startswith(".")]
        return sorted(found)

    def folders(self, folder: str = "") -> list[str]:
        try:
            with os.scandir(self.path / folder) as found:
                return sorted(
                    entry.name
                    for entry in found
                    if not entry.name.startswith(".") and entry.is_dir()
                )
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StorageError(
                f"{self.path / folder} cannot be read: {error.strerror or error}"
            ) from error

    def delete(self, name: str) -> None:
        file = self.path / check_name(name)
        with storage_errors(file):
            file.unlink(missing_ok=True)

    def clear_stale(self, folder: str = "") -> int:
        """Removes temporary files that killed writers left in a folder; returns how many.

        The file of a process that is alive, or may be alive on another machine, stays.
        """
        removed = 0
        for directory, folders, files in os.walk(self.path / folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                file = Path(directory, name)
                if name.startswith(TEMPORARY_PREFIX) and is_stale_temporary(file):
                    with contextlib.suppress(OSError):
                        file.unlink()
                        removed += 1
        return removed

    def _scan(self, folder: str) -> Iterator[Entry]:
        try:
            with os.scandir(self.path / folder) as found:
                for entry in found:
                    if entry.name.startswith("."):
                        continue
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir():
                        yield from self._scan(name)
                        continue
                    # Removed since the listing.
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat()
                        yield Entry(name=name, bytes=status.st_size, time=status.st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StorageError(
                f"{self.path / folder} cannot be read: {error.strerror or error}"
            ) from error

    def series(self, folder: str, suffix: str) -> BlobSeries:
        return BlobSeries(self, folder, suffix)


def _unless_missing(error: OSError) -> None:
    if error.errno not in _NOT_THERE:
        raise StorageError(f"{error.filename} cannot be read: {error.strerror or error}") from error
