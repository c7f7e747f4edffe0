"""The scratch directory of a process: local files of a run that lies in a remote store."""

import atexit
import functools
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from selfplay.store.files import atomic_write, storage_errors
from selfplay.store.store import Store

_uploaded: dict[tuple[str, str], tuple[int, int]] = {}
"""By store, the files that were uploaded, with their size and time of change."""


@functools.cache
def scratch_directory(url: str) -> Path:
    """Returns a directory, the same for the same URL; it is removed when the process ends.

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


def download_changes(store: Store, root: Path, folder: str) -> int:
    """Brings the files under `root`/`folder` up to date with a store; returns how many changed.

    Only for files that grow at their end, such as event files: new bytes are appended, because a
    reader such as TensorBoard keeps the files open. Nothing is removed.

    Raises:
        StorageError: the store cannot be reached, or the disk is full.
    """
    changed = 0
    for entry in store.entries(folder):
        file = root / entry.name
        present = file.stat().st_size if file.exists() else 0
        if present == entry.bytes:
            continue
        try:
            data = store.read(entry.name)
        except FileNotFoundError:
            # Removed since the listing.
            continue
        with storage_errors(file):
            if present > len(data):
                atomic_write(file, data)
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("ab") as end:
                    end.write(data[present:])
        changed += 1
    return changed
