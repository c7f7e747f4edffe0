"""The checkpoints of a run: written whole or not at all, checked when read."""

import contextlib
import datetime
import importlib.metadata
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from selfplay.errors import CheckpointError, RunError
from selfplay.run.manifest import (
    MANIFEST,
    item_files,
    read_manifest,
    read_verified,
    write_manifest,
)
from selfplay.run.storage import (
    TEMPORARY_PREFIX,
    process_exists,
    process_space,
    storage_errors,
    sync_directory,
    sync_tree,
)
from selfplay.run.trees import into, nest, read_tree, write_tree

WEIGHTS = "weights"
TRAIN_STATE = "train_state"

_METADATA = "metadata.json"
_REMOVED_PREFIX = ".old-"
_FOREIGN_STALE_SECONDS = 3600.0


class Checkpoints:
    """The checkpoints under `RUN/checkpoints`, one directory per update.

    There is one writer at a time (see `RunDirectory.lock`) and any number of readers.

    Attributes:
        run_path: the run directory.
        path: where the checkpoints lie.
    """

    def __init__(self, run_path: Path, *, stamp: Mapping[str, Any] | None = None) -> None:
        """Looks at the checkpoints of a run; touches nothing.

        Args:
            run_path: the run directory.
            stamp: metadata that every checkpoint gets (the game, its rules, the config).
        """
        self.run_path = run_path
        self.path = run_path / "checkpoints"
        self._stamp = dict(stamp or {})

    def save(
        self, update: int, items: Mapping[str, PyTree], *, metadata: Mapping[str, Any] | None = None
    ) -> Path:
        """Writes a checkpoint: complete afterwards, or absent. One of the same update is replaced.

        Args:
            update: at least 0.
            items: named trees of arrays, numbers and typed keys of any shapes. "weights" is what
                a player needs, "train_state" what else a trainer needs.
            metadata: anything JSON can hold.

        Returns:
            Its directory.

        Raises:
            StorageError: the disk is full or refuses the write; the older checkpoints stay.
        """
        self.recover()
        final = self.path / str(update)
        name = f"{TEMPORARY_PREFIX}{update}-{process_space()}-{os.getpid()}"
        temporary = self.path / name
        with storage_errors(final):
            temporary.mkdir(parents=True)
            try:
                trees = {
                    item: write_tree(temporary / item, tree, name=final)
                    for item, tree in items.items()
                }
                document = {
                    **self._stamp,
                    **(metadata or {}),
                    "update": update,
                    "selfplay": software_version(),
                    "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                    "items": list(items),
                }
                (temporary / _METADATA).write_text(json.dumps(document, indent=1) + "\n")
                # The manifest comes last and after a sync: a directory that has one is complete.
                sync_tree(temporary)
                write_manifest(temporary, trees)
                if final.exists():
                    # A kill between these two renames loses nothing: see `recover`.
                    shutil.rmtree(self._set_aside(update))
                temporary.rename(final)
                sync_directory(self.path)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return final

    def updates(self) -> list[int]:
        """Returns the updates of the complete checkpoints, ascending."""
        if not self.path.is_dir():
            return []
        return sorted(
            int(entry.name)
            for entry in self.path.iterdir()
            if entry.name.isdecimal() and (entry / MANIFEST).is_file()
        )

    def latest(self) -> int | None:
        """Returns the newest complete checkpoint, or None before the first."""
        return max(self.updates(), default=None)

    def load(self, update: int, item: str, target: PyTree | None = None) -> Any:
        """Returns one item of a checkpoint, every byte of it checked.

        Args:
            update: which checkpoint.
            item: its name.
            target: a tree of values or `jax.ShapeDtypeStruct`s to build the result like; without
                it the result is nested dicts (keyed by the names of fields and the numbers of
                list entries, all as text) of NumPy arrays and typed keys.

        Raises:
            CheckpointError: it is missing or damaged, or does not fit `target`.
        """
        directory = self.path / str(update)

        def read() -> Any:
            manifest = read_manifest(directory)
            if item not in manifest["trees"]:
                raise CheckpointError(
                    f"checkpoint {directory} has no {item}, only {', '.join(manifest['trees'])}"
                )
            # From a copy, because a writer may prune or replace the checkpoint meanwhile, and what
            # is read must be what was verified.
            with (
                storage_errors(Path(tempfile.gettempdir())),
                _copy(directory, manifest, item) as own,
            ):
                return read_tree(own, manifest["trees"][item])

        leaves = self._checked(update, read)
        if target is None:
            return nest(leaves)
        return into(target, leaves, what=f"{item} of checkpoint {directory}")

    def load_latest(self, item: str, target: PyTree | None = None) -> tuple[int, Any] | None:
        """Returns the newest update and its item, or None before the first checkpoint.

        Unlike `latest` and `load` it can run while another process writes and prunes.
        """
        while (update := self.latest()) is not None:
            try:
                return update, self.load(update, item, target)
            except CheckpointError:
                if update in self.updates():
                    raise
        return None

    def metadata(self, update: int) -> dict[str, Any]:
        """Returns what was saved beside the trees: "update", "time", "selfplay", "game", ...

        Raises:
            CheckpointError: the checkpoint is missing or damaged.
        """
        directory = self.path / str(update)

        def read() -> Any:
            return json.loads(read_verified(directory, read_manifest(directory), _METADATA))

        document: dict[str, Any] = self._checked(update, read)
        return document

    def check_game(self, update: int, *, game: str, fingerprint: str) -> None:
        """Raises `CheckpointError` unless the checkpoint was written for these rules.

        Args:
            update: which checkpoint.
            game: the game's name.
            fingerprint: of its rules, see `selfplay.registry.fingerprint`.
        """
        written = self.metadata(update)
        label = f"checkpoint {self.run_path / str(update)} was written for {written.get('game')}"
        if written.get("game") != game:
            raise CheckpointError(f"{label}, but the game is {game}")
        if written.get("fingerprint") != fingerprint:
            raise CheckpointError(
                f"{label} with other rules (fingerprint {written.get('fingerprint')}, now "
                f"{fingerprint})",
                hint="the game's options, version or source have changed since",
            )

    def prune(
        self, *, keep_last: int, pinned_every: int = 0, pinned: Collection[int] = ()
    ) -> list[int]:
        """Removes old checkpoints and returns which; the newest is never among them.

        Args:
            keep_last: how many of the newest stay, at least 1.
            pinned_every: multiples of it stay; 0 for none.
            pinned: these stay.
        """
        removed = [
            update
            for update in self.updates()[: -max(keep_last, 1)]
            if update not in pinned and not (pinned_every and update % pinned_every == 0)
        ]
        for update in removed:
            with storage_errors(self.path):
                shutil.rmtree(self._set_aside(update))
        return removed

    def recover(self) -> None:
        """Clears away what a killed writer left behind. For the writer only.

        A checkpoint that was complete but for its last renaming gets its name.
        """
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

    def _set_aside(self, update: int) -> Path:
        """Takes a checkpoint's name away in one step, so that nobody meets half of it."""
        aside = self.path / f"{_REMOVED_PREFIX}{update}-{os.getpid()}-{time.time_ns()}"
        (self.path / str(update)).rename(aside)
        return aside

    def _checked(self, update: int, read: Callable[[], Any]) -> Any:
        """Returns `read()`; if it fails, names the checkpoints that could be used instead."""
        others = [other for other in self.updates() if other != update]
        listed = ", ".join(map(str, others[-10:]))
        hint = f"use {self.run_path}@UPDATE; other complete checkpoints are: {listed}"
        if not (self.path / str(update)).is_dir():
            raise CheckpointError(
                f"{self.run_path} has no checkpoint {update}",
                hint=hint if others else "it has none at all yet",
            )
        try:
            return read()
        except CheckpointError as error:
            fallback = hint if others else "there is no other checkpoint in this run"
            raise CheckpointError(str(error), hint=error.hint or fallback) from error.__cause__


def find_checkpoint(text: str) -> tuple[Path, int]:
    """Returns the run directory and the update that "RUN" (the newest) or "RUN@UPDATE" means.

    Raises:
        RunError: RUN is not a run directory.
        CheckpointError: it has no such checkpoint, or none yet.
    """
    path, update = split_checkpoint_name(text)
    if not (path / "run.toml").is_file():
        raise RunError(
            f"{path} is not a selfplay run" if path.exists() else f"{path} does not exist",
            hint="name a directory made by `selfplay train`, such as runs/connect_four",
        )
    available = Checkpoints(path).updates()
    if not available:
        raise CheckpointError(
            f"{path} has no checkpoint yet", hint="the first one comes within a minute of training"
        )
    if update is None:
        return path, available[-1]
    if update not in available:
        shown = ", ".join(map(str, available[-10:]))
        raise CheckpointError(
            f"{path} has no checkpoint {update}",
            hint=f"complete checkpoints are: {'..., ' if len(available) > 10 else ''}{shown}",
        )
    return path, update


def split_checkpoint_name(text: str) -> tuple[Path, int | None]:
    """Returns the path and the update of "RUN[@UPDATE]"; None stands for the newest.

    Raises:
        CheckpointError: what follows the @ is not a number.
    """
    if Path(text).exists():
        return Path(text), None
    run, at, update = text.rpartition("@")
    if not at:
        return Path(text), None
    if not re.fullmatch(r"[0-9]+", update):
        raise CheckpointError(
            f"{text!r} names no checkpoint: {update!r} is not an update number",
            hint=f"write {run}@UPDATE, or {run} for the newest",
        )
    return Path(run), int(update)


def software_version() -> str:
    """Returns the version of the installed selfplay."""
    try:
        return importlib.metadata.version("selfplay-jax")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@contextlib.contextmanager
def _copy(directory: Path, manifest: dict[str, Any], item: str) -> Iterator[Path]:
    """Gives a verified copy of one item, for the time of the context."""
    with tempfile.TemporaryDirectory(prefix="selfplay-") as folder:
        for name in item_files(manifest, item):
            file = Path(folder) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(read_verified(directory, manifest, name))
        yield Path(folder) / item


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
