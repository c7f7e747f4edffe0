"""The record of a fleet: a folder in the user's state directory, with one file and the logs.

It says which engine runs the fleet and how its processes are found there. It lies on the machine
that launched the fleet and not in the run, because a run may be anywhere and need not exist yet.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfplay.errors import RunError, StorageError
from selfplay.fleet.fleet import Fleet
from selfplay.store.files import atomic_write, process_space, storage_errors
from selfplay.store.place import local_path, location, typed

_FILE = "fleet.json"
_LOCK = "supervisor.lock"


def absolute_run(run: str) -> str:
    """Returns the absolute path of a run, or its URL."""
    path = local_path(run)
    return location(run) if path is None else str(path.expanduser().absolute())


class Record:
    """The record of the fleet of one run.

    Attributes:
        run: an absolute path or a URL.
        folder: where it lies; `logs` is in it.
    """

    def __init__(self, run: str) -> None:
        """Writes nothing yet.

        Args:
            run: a path or a URL.
        """
        self.run = absolute_run(run)
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", self.run.rstrip("/").rpartition("/")[2])[:40]
        digest = hashlib.sha256(os.path.normpath(self.run).encode()).hexdigest()[:8]
        self.name = f"{name.strip('-.') or 'run'}-{digest}"
        self.folder = _fleets() / self.name

    @property
    def logs(self) -> Path:
        """The folder for the logs of processes on this machine."""
        return self.folder / "logs"

    def read(self) -> dict[str, Any] | None:
        """Returns what is recorded, None if nothing is.

        Raises:
            RunError: the file is damaged.
        """
        file = self.folder / _FILE
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            if document["format"] == 1:
                return dict(document)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            pass
        raise RunError(
            f"{file} is damaged, or of a newer selfplay",
            hint="see that no process of the fleet is left, then remove the file",
        )

    def write(self, fleet: Fleet, on: str, details: Mapping[str, Any]) -> None:
        """Replaces the record.

        Args:
            fleet: what runs.
            on: the engine.
            details: what the engine needs to find the processes again; JSON can hold it.

        Raises:
            StorageError: it cannot be written.
        """
        self.make()
        document = {
            "format": 1,
            "on": on,
            "host": socket.gethostname(),
            "process_space": process_space(),
            "fleet": fleet.to_dict(),
            **details,
        }
        atomic_write(self.folder / _FILE, json.dumps(document, indent=1).encode() + b"\n")

    def make(self) -> None:
        """Makes the folder, readable by this user alone: the URL of a run may hold a password."""
        with storage_errors(self.folder):
            self.logs.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)

    @contextlib.contextmanager
    def supervised(self) -> Iterator[None]:
        """Holds the lock of the fleet's supervisor; the kernel releases it however that ends.

        Raises:
            RunError: another supervisor holds it.
        """
        self.make()
        with storage_errors(self.folder / _LOCK):
            descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise self.runs_already() from None
            yield
        finally:
            os.close(descriptor)

    def runs_already(self) -> RunError:
        """Returns the error for a fleet that is launched a second time."""
        command = f"selfplay launch --status {typed(self.run)}"
        return RunError(
            f"the fleet of {self.run} runs already",
            hint=f"see {command}; end it first with --stop",
        )


def _fleets() -> Path:
    """Returns the folder of all fleets: in `$XDG_STATE_HOME`, else in ~/.local/state."""
    root = os.environ.get("XDG_STATE_HOME")
    try:
        found = (Path(root) if root else Path.home() / ".local" / "state") / "selfplay" / "fleets"
        found.mkdir(parents=True, exist_ok=True)
        if os.access(found, os.W_OK | os.X_OK):
            return found
    except (OSError, RuntimeError):
        pass  # RuntimeError: this user has no home.
    found = Path(tempfile.gettempdir()) / f"selfplay-fleets-{os.getuid()}"
    with storage_errors(found):
        found.mkdir(mode=0o700, exist_ok=True)
        status = found.lstat()
    if status.st_uid != os.getuid():
        raise StorageError(
            f"{found} belongs to another user", hint="set XDG_STATE_HOME to a folder of your own"
        )
    return found
