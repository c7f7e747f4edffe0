"""The lock of a run in a directory: a file that the kernel locks. See `lease` for other stores."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from selfplay.errors import RunError, StorageError
from selfplay.store.files import storage_errors

LOCK_FILE = "run.lock"


@contextlib.contextmanager
def hold_file(run_path: Path) -> Iterator[None]:
    """Holds the lock of a run; the kernel releases it when the process ends, however it ends.

    Args:
        run_path: the run directory.

    Raises:
        RunError: another process holds it.
        StorageError: the file cannot be written, or its file system has no locks.
    """
    file = run_path / LOCK_FILE
    with storage_errors(file):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise StorageError(
                    f"{file} cannot be locked: {error.strerror}",
                    hint="put the run on a file system that has file locks",
                ) from error
            holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
            raise RunError(
                f"another process{f' (pid {holder})' if holder else ''} is training {run_path}",
                hint="wait until it ends, stop it, or choose another --run",
            ) from None
        with storage_errors(file):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
