"""A directory of this process for what a run elsewhere needs on local disk."""

import atexit
import functools
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from selfplay.run.storage import atomic_write, storage_errors
from selfplay.run.store import Store

_uploaded: dict[tuple[str, str], tuple[int, int]] = {}
"""What was uploaded to which store: size and time of change of each file then."""


@functools.cache
def scratch_directory(url: str) -> Path:
    """Returns an empty directory, the same for the same URL; gone when the process ends.

    It lies in `$SELFPLAY_CACHE`, else in the directory for temporary files.
    """
    root = Path(os.environ.get("SELFPLAY_CACHE") or tempfile.gettempdir())
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(url.encode()).hexdigest()[:8]
        path = Path(tempfile.mkdtemp(prefix=f"selfplay-run-{digest}-", dir=root))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def upload_changes(store: Store, root: Path, folder: str) -> None:
    """Uploads the files under `root`/`folder` that have changed since the last time.

    Raises:
        StorageError: the store is full, cannot be reached or refuses.
    """
    for file in sorted((root / folder).rglob("*")):
        if not file.is_file() or file.name.startswith("."):
            continue
        status = file.stat()
        version = (status.st_size, status.st_mtime_ns)
        key = (store.url, str(file))
        if _uploaded.get(key) != version:
            store.write(file.relative_to(root).as_posix(), file.read_bytes())
            _uploaded[key] = version


def download(store: Store, root: Path, folder: str) -> None:
    """Writes the blobs of a folder under `root`; files that are there already stay as they are.

    Raises:
        StorageError: the store cannot be reached, or the disk is full.
    """
    for name in store.names(folder):
        file = root / name
        if not file.exists():
            atomic_write(file, store.read(name))
