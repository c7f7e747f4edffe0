"""Blobs on the local disk of a node, so that its processes fetch each of them once together."""

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 0.05
_UNUSED_SECONDS = 300.0
_MAX_BYTES = 2 << 30


def fetch_once(
    digest: str, fetch: Callable[[], bytes], *, folder: Path | None = None, age: float | None = None
) -> bytes:
    """Returns a blob from this node's disk, else from `fetch`, whose result is kept there.

    One process fetches while the others wait for it. What nobody has used for five minutes is
    removed when another blob comes, and so is the oldest above 2 GB. If the disk is full or cannot
    be written, every process fetches for itself.

    Args:
        digest: the SHA-256 of the blob in hexadecimal, which is its name; content that differs is
            fetched again.
        fetch: gets it from the store.
        folder: where blobs lie; None for a folder of this user in `$SELFPLAY_CACHE`, else in the
            directory for temporary files.
        age: seconds after which an unused blob may go; None for five minutes.
    """
    folder = _folder() if folder is None else folder
    file = folder / digest
    try:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        with _alone(folder / f".lock-{digest}"):
            data = _read(file, digest)
            if data is None:
                data = fetch()
                _keep(file, data, _UNUSED_SECONDS if age is None else age)
            return data
    except _NoCacheError:
        return fetch()
    except OSError as error:
        # Errors of `fetch` are the caller's; those of the disk cost a request.
        if error.filename is None or not str(error.filename).startswith(str(folder)):
            raise
        return fetch()


class _NoCacheError(Exception):
    """The process that fetches takes too long."""


def _folder() -> Path:
    root = os.environ.get("SELFPLAY_CACHE") or tempfile.gettempdir()
    return Path(root) / f"selfplay-{os.getuid()}" / "blobs"


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Excludes the other threads and processes of this node, for a limited time."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _NoCacheError from None
                time.sleep(_LOOK_SECONDS)
            except OSError:
                # A file system without locks.
                raise _NoCacheError from None
        yield
    finally:
        os.close(descriptor)


def _read(file: Path, digest: str) -> bytes | None:
    try:
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() == digest:
            os.utime(file)
            return data
    except OSError:
        return None
    return None


def _keep(file: Path, data: bytes, age: float) -> None:
    """Writes a blob under its name, complete or not at all, and removes what is no longer used."""
    temporary = file.with_name(f".new-{file.name}-{os.getpid()}")
    with contextlib.suppress(OSError):
        _clear(file.parent, age, len(data))
        try:
            temporary.write_bytes(data)
            temporary.rename(file)
        finally:
            temporary.unlink(missing_ok=True)


def _clear(folder: Path, age: float, coming: int) -> None:
    found = []
    for entry in os.scandir(folder):
        # Removed by another process since.
        with contextlib.suppress(FileNotFoundError):
            status = entry.stat()
            found.append((status.st_mtime, status.st_size, entry.path))
    left = coming + sum(size for _, size, _ in found)
    now = time.time()
    for used, size, path in sorted(found):
        if now - used > age or left > _MAX_BYTES:
            Path(path).unlink(missing_ok=True)
            left -= size
