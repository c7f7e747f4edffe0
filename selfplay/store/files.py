"""Writes files so that a reader, or a restart after a kill, never meets half a file."""

import contextlib
import errno
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from selfplay.errors import StorageError

TEMPORARY_PREFIX = ".tmp-"
"""Files with this prefix are not finished yet; every reader ignores them."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_FOREIGN_STALE_SECONDS = 3600.0
_TOKEN = uuid.uuid4().hex[:8]
"""Tells the temporary files of this process from those of an earlier one with the same id."""


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns an `OSError` inside into a `StorageError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """Returns what to tell the user about a failed write to `path`."""
    if error.errno in _FULL:
        return StorageError(
            f"{path} cannot be written: the disk is full",
            hint="everything written before is intact; free some space and run the same command "
            "again",
        )
    if error.errno in _REFUSED:
        reason = "the file system is read-only" if error.errno == errno.EROFS else "not permitted"
        return StorageError(
            f"{path} cannot be written: {reason}",
            hint="choose a directory that this user may write to",
        )
    return StorageError(f"{path} cannot be written: {error.strerror or error}")


def atomic_write(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Writes `data` to `path`: afterwards the file is complete, or it is as it was before.

    The directory is made if need be. Survives a kill at any instant.

    Args:
        path: of the file.
        data: its content.
        sync: whether it survives a power failure, too, by fsync of file and directory.

    Raises:
        StorageError: the disk is full or refuses the write; nothing is left behind.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_file(path, data, sync=sync) as temporary:
            temporary.replace(path)
        if sync:
            sync_directory(path.parent)


@contextlib.contextmanager
def temporary_file(path: Path, data: bytes, *, sync: bool = True) -> Iterator[Path]:
    """Yields a file with `data` beside `path`; it is removed unless the block renames it.

    Args:
        path: beside which it lies.
        data: its content.
        sync: whether it survives a power failure.

    Raises:
        OSError: the disk is full or refuses the write.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_name(name: str) -> str:
    """Returns a name beside `name` that no other process uses and every reader ignores."""
    own = f"{process_space()}-{os.getpid()}-{_TOKEN}"
    return f"{TEMPORARY_PREFIX}{name}-{own}-{uuid.uuid4().hex[:8]}"


def is_stale_temporary(file: Path) -> bool:
    """Returns whether the writer of a temporary file is gone, as far as can be known.

    That of another host or container counts as gone when it has not written for an hour.
    """
    head, pid, token, _ = ("", "", "", "", *file.name.rsplit("-", 3))[-4:]
    if head.endswith(f"-{process_space()}") and pid.isdecimal():
        own = int(pid) == os.getpid()
        return token != _TOKEN if own else not process_exists(int(pid))
    try:
        return time.time() - file.stat().st_mtime > _FOREIGN_STALE_SECONDS
    except OSError:
        return False


def sync_directory(path: Path) -> None:
    """Makes the names inside a directory survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Makes everything inside a directory survive a power failure."""
    for directory, _, names in os.walk(path):
        for name in names:
            descriptor = os.open(os.path.join(directory, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(directory))


def check_disk_space(path: Path, needed_bytes: int) -> None:
    """Raises `StorageError` unless the disk of the directory `path` has enough bytes free."""
    with storage_errors(path):
        free = shutil.disk_usage(path).free
    if free < needed_bytes:
        raise StorageError(
            f"{path} has {free / 1e6:.1f} MB left on its disk, but {needed_bytes / 1e6:.1f} MB "
            "are needed",
            hint="everything written before is intact; free some space and run the same command "
            "again",
        )


def reserve(path: Path, needed_bytes: int, *, name: Path) -> None:
    """Checks that so many bytes can be written in the directory `path`, by writing them.

    Unlike `check_disk_space` this also meets quotas. It goes before a write by a library whose
    own failure on a full disk is hundreds of lines long.

    Args:
        path: the directory.
        needed_bytes: how many.
        name: what is to be written, for messages.

    Raises:
        StorageError: they cannot be had.
    """
    ballast = path / temporary_name("reserve")
    with storage_errors(name):
        try:
            with ballast.open("wb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, needed_bytes)
        finally:
            ballast.unlink(missing_ok=True)


def process_space() -> str:
    """Returns the host and process namespace in which the ids of processes are valid."""
    try:
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        namespace = "0"
    return f"{socket.gethostname()}.{namespace}"


def process_exists(pid: int) -> bool:
    """Returns whether a process of this host has that id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
