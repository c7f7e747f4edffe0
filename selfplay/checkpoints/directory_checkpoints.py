"""Checkpoints in a directory: written under a temporary name, then renamed."""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from selfplay.checkpoints.checkpoints import FOLDER, Checkpoints
from selfplay.checkpoints.files import ReadFiles, write_files
from selfplay.checkpoints.manifest import MANIFEST, read_manifest, read_verified
from selfplay.errors import CheckpointError
from selfplay.store.directory_store import DirectoryStore
from selfplay.store.files import (
    TEMPORARY_PREFIX,
    process_exists,
    process_space,
    storage_errors,
    sync_directory,
)
from selfplay.store.store import Listener

_REMOVED_PREFIX = ".old-"
_FOREIGN_STALE_SECONDS = 3600.0


class DirectoryCheckpoints(Checkpoints):
    """The checkpoints under `RUN/checkpoints`, one directory per update.

    Attributes:
        path: where the checkpoints lie.
    """

    def __init__(self, run_path: Path, *, stamp: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Reads and writes nothing yet.

        Args:
            run_path: the run directory.
            stamp: returns metadata that every checkpoint gets (the game, its rules, the config).
        """
        super().__init__(str(run_path), stamp=stamp)
        self.path = run_path / FOLDER

    def save(
        self, update: int, items: Mapping[str, PyTree], *, metadata: Mapping[str, Any] | None = None
    ) -> str:
        self.recover()
        final = self.path / str(update)
        name = f"{TEMPORARY_PREFIX}{update}-{process_space()}-{os.getpid()}"
        temporary = self.path / name
        with storage_errors(final):
            temporary.mkdir(parents=True)
            try:
                stamped = {**self._stamp(), **(metadata or {})}
                write_files(temporary, update, items, stamped, label=self._label(update))
                if final.exists():
                    # A kill between these two renames loses nothing: see `recover`.
                    shutil.rmtree(self._set_aside(update))
                temporary.rename(final)
                sync_directory(self.path)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return str(final)

    def updates(self) -> list[int]:
        if not self.path.is_dir():
            return []
        return sorted(
            int(entry.name)
            for entry in self.path.iterdir()
            if entry.name.isdecimal() and self._is_complete(int(entry.name))
        )

    def _newest_above(self, update: int | None) -> int | None:
        # Every worker asks this again and again: it touches no checkpoint that is known.
        known = -1 if update is None else update
        try:
            names = os.listdir(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        newer = sorted((int(name) for name in names if name.isdecimal()), reverse=True)
        return next((one for one in newer if one > known and self._is_complete(one)), None)

    def _is_complete(self, update: int) -> bool:
        return (self.path / str(update) / MANIFEST).is_file()

    def published_at(self, update: int) -> float | None:
        try:
            return (self.path / str(update) / MANIFEST).stat().st_mtime
        except OSError:
            return None

    def recover(self) -> None:
        # A checkpoint that was complete but for its last renaming gets its name.
        if not self.path.is_dir():
            return
        with storage_errors(self.path):
            for entry in list(self.path.iterdir()):
                if entry.name.startswith(_REMOVED_PREFIX):
                    shutil.rmtree(entry, ignore_errors=True)
                elif entry.name.startswith(TEMPORARY_PREFIX) and _is_stale(entry):
                    self._finish(entry)

    def _finish(self, stale: Path) -> None:
        final = self.path / stale.name.removeprefix(TEMPORARY_PREFIX).partition("-")[0]
        try:
            manifest = read_manifest(stale)
            for name in manifest["files"]:
                read_verified(stale, manifest, name)
            complete = final.name.isdecimal() and not final.exists()
        except CheckpointError:
            complete = False
        if complete:
            stale.rename(final)
        else:
            shutil.rmtree(stale, ignore_errors=True)

    def _open(self, update: int) -> tuple[dict[str, Any], ReadFiles]:
        directory = self.path / str(update)
        manifest = read_manifest(directory)
        return manifest, lambda names: {
            name: read_verified(directory, manifest, name) for name in names
        }

    def _remove(self, update: int) -> None:
        with storage_errors(self.path):
            shutil.rmtree(self._set_aside(update))

    def _set_aside(self, update: int) -> Path:
        """Renames a checkpoint in one step, so that no reader meets half of it."""
        aside = self.path / f"{_REMOVED_PREFIX}{update}-{os.getpid()}-{time.time_ns()}"
        (self.path / str(update)).rename(aside)
        return aside

    def _is_there(self, update: int) -> bool:
        return (self.path / str(update)).is_dir()

    def _label(self, update: int) -> str:
        return str(self.path / str(update))

    def _listen(self) -> Listener:
        return Listener(DirectoryStore.poll_seconds)


def _is_stale(temporary: Path) -> bool:
    """Returns whether the writer of a temporary directory is gone.

    This process itself writes one checkpoint at a time and clears up before it begins, so its own
    id on a directory belonged to an earlier life (in a container every life has the same id).
    """
    space, _, pid = temporary.name.rpartition("-")
    if space.endswith(f"-{process_space()}") and pid.isdecimal():
        return int(pid) == os.getpid() or not process_exists(int(pid))
    try:
        return time.time() - temporary.stat().st_mtime > _FOREIGN_STALE_SECONDS
    except OSError:
        return False
