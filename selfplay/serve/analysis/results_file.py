"""The file that keeps the results of agents against visitors over restarts of the server."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.errors import StorageError
from selfplay.startup import cache_directory
from selfplay.store.files import atomic_write, storage_errors

_FORMAT = "selfplay-results"
_VERSION = 1


def default_results_path(served: str) -> Path:
    """Returns where the counts are kept if the user names no file.

    Args:
        served: what is served, a path, a URL or a name; each has its own file.
    """
    digest = hashlib.sha256(served.encode(errors="surrogateescape")).hexdigest()[:12]
    stem = re.sub(r"[^A-Za-z0-9]+", "-", served).strip("-")[-40:]
    return cache_directory() / "served" / f"{stem}-{digest}.json"


class ResultsFile:
    """A file of counts, locked by one process.

    Attributes:
        path: of the file.
        note: a warning for the user, or "".
    """

    def __init__(self, path: Path) -> None:
        """Locks the file for this process until it is closed.

        Args:
            path: of the file; created with its folder if it does not exist.

        Raises:
            StorageError: another server has locked it, or it cannot be written.
        """
        self.path = path
        self.note = ""
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.with_name(f"{path.name}.lock")
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise StorageError(
                f"another server counts results in {path}",
                hint="name another file: --results FILE",
            ) from error

    def read(self) -> dict[str, dict[str, int]]:
        """Returns the counts by agent; a damaged or foreign file is renamed, and `note` says so."""
        if not self.path.exists():
            return {}
        with storage_errors(self.path):
            data = self.path.read_bytes()
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
            document = json.loads(data)
            if document["format"] == _FORMAT and document["version"] <= _VERSION:
                return {
                    str(agent): {str(name): int(count) for name, count in counts.items()}
                    for agent, counts in document["agents"].items()
                }
        aside = self.path.with_name(f"{self.path.name}.damaged")
        with storage_errors(aside):
            self.path.replace(aside)
        self.note = f"{self.path} holds no counts; it is now {aside.name}, and counting begins anew"
        return {}

    def write(self, agents: Mapping[str, Mapping[str, Any]]) -> None:
        """Writes all counts; raises `StorageError` if the disk refuses them."""
        document = {"format": _FORMAT, "version": _VERSION, "agents": agents}
        data = json.dumps(document, indent=1).encode() + b"\n"
        atomic_write(self.path, data)

    def close(self) -> None:
        """Releases the file."""
        os.close(self._lock)
