"""The interface of all checkpoints of a run, and what they have in common.

`directory_checkpoints` and `remote_checkpoints` store them.
"""

import abc
import json
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jaxtyping import PyTree

from selfplay.checkpoints.files import METADATA, ReadFiles, temporary_copy
from selfplay.checkpoints.manifest import encode_manifest, item_files
from selfplay.checkpoints.spread import spread_updates
from selfplay.checkpoints.trees import into, nest, read_tree
from selfplay.errors import CheckpointError
from selfplay.store.files import storage_errors
from selfplay.store.place import typed
from selfplay.store.store import Listener

FOLDER = "checkpoints"

T = TypeVar("T")


class Checkpoints(abc.ABC):
    """The checkpoints of a run; `open_checkpoints` gives those of a run by its name.

    There is one writer at a time (see `RunDirectory.lock`) and any number of readers.

    Attributes:
        url: what to call the run in messages.
    """

    def __init__(self, url: str, *, stamp: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Reads and writes nothing yet.

        Args:
            url: what to call the run in messages.
            stamp: returns metadata that every checkpoint gets (the game, its rules, the config).
        """
        self.url = url
        self._stamp = stamp
        self._listener: Listener | None = None

    @abc.abstractmethod
    def save(
        self, update: int, items: Mapping[str, PyTree], *, metadata: Mapping[str, Any] | None = None
    ) -> str:
        """Writes a checkpoint, completely or not at all; replaces one of the same update.

        The files are read once before the checkpoint becomes visible.

        Args:
            update: at least 0.
            items: named trees of arrays, numbers and typed keys of any shapes. "weights" is what
                a player needs, "train_state" what else a trainer needs.
            metadata: anything JSON can hold.

        Returns:
            Where it lies.

        Raises:
            StorageError: the disk or the store is full, cannot be reached or refuses the write,
                or what was written cannot be read; the older checkpoints stay.
        """

    @abc.abstractmethod
    def updates(self) -> list[int]:
        """Returns the updates of the complete checkpoints, ascending."""

    def latest(self) -> int | None:
        """Returns the newest complete checkpoint, or None before the first."""
        return max(self.updates(), default=None)

    def wait_for_newer(self, update: int | None, timeout_seconds: float) -> int | None:
        """Returns the newest complete checkpoint once there is one above `update`.

        Args:
            update: the newest one known so far, None for none.
            timeout_seconds: None is returned after so long; 0 looks once.

        Raises:
            StorageError: the store cannot be reached.
        """
        deadline = time.monotonic() + timeout_seconds
        if timeout_seconds > 0:
            # Before the first look, so that no notice can fall between looking and listening.
            self.listen()
        while True:
            newest = self._newest_above(update)
            left = deadline - time.monotonic()
            if newest is not None or left <= 0 or self._listener is None:
                return newest
            self._listener.wait(left)

    def listen(self) -> Listener:
        """Returns a listener that wakes up when there is a new checkpoint; always the same one."""
        if self._listener is None:
            self._listener = self._listen()
        return self._listener

    def _newest_above(self, update: int | None) -> int | None:
        newest = self.latest()
        known = -1 if update is None else update
        return newest if newest is not None and newest > known else None

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

        def read() -> Any:
            manifest, files = self._open(update)
            if item not in manifest["trees"]:
                raise CheckpointError(
                    f"checkpoint {self._label(update)} has no {item}, only "
                    f"{', '.join(manifest['trees'])}"
                )
            # From a verified copy: a writer may prune or replace the checkpoint meanwhile.
            with (
                storage_errors(Path(tempfile.gettempdir())),
                temporary_copy(files, item_files(manifest, item)) as own,
            ):
                return read_tree(own / item, manifest["trees"][item])

        leaves = self._checked(update, read)
        if target is None:
            return nest(leaves)
        return into(target, leaves, what=f"{item} of checkpoint {self._label(update)}")

    def load_latest(self, item: str, target: PyTree | None = None) -> tuple[int, Any] | None:
        """Returns the newest update and its item, or None before the first checkpoint.

        Unlike `latest` and `load` it can run while another process writes and prunes.
        """
        return self.read_latest(lambda update: (update, self.load(update, item, target)))

    def read_latest(self, read: Callable[[int], T]) -> T | None:
        """Returns `read` of the newest update, or None before the first checkpoint.

        It can run while another process writes and prunes: if the checkpoint is removed or
        replaced while it is read, the newest one by then is read.

        Args:
            read: takes an update and reads from this object.

        Raises:
            CheckpointError: from `read`, of a checkpoint that is still there as it was.
        """
        while (update := self.latest()) is not None:
            before = self._manifest(update)
            try:
                return read(update)
            except CheckpointError:
                # Not damaged, if it was replaced or pruned while it was read.
                if update in self.updates() and self._manifest(update) == before:
                    raise
        return None

    def _manifest(self, update: int) -> dict[str, Any] | None:
        """Returns the manifest of a checkpoint as it is now, None if it cannot be read."""
        try:
            return self._open(update)[0]
        except CheckpointError:
            return None

    def metadata(self, update: int) -> dict[str, Any]:
        """Returns what was saved beside the trees: "update", "time", "selfplay", "game", ...

        Raises:
            CheckpointError: the checkpoint is missing or damaged.
        """

        def read() -> Any:
            _, files = self._open(update)
            return json.loads(files([METADATA])[METADATA])

        document: dict[str, Any] = self._checked(update, read)
        return document

    def read_files(self, update: int) -> tuple[bytes, dict[str, bytes]]:
        """Returns a checkpoint as it is stored: its manifest and its other files by name.

        Raises:
            CheckpointError: it is missing or damaged.
        """

        def read() -> tuple[bytes, dict[str, bytes]]:
            manifest, files = self._open(update)
            return encode_manifest(manifest), files(list(manifest["files"]))

        found: tuple[bytes, dict[str, bytes]] = self._checked(update, read)
        return found

    def digest(self, update: int) -> str:
        """Returns the checksum of a checkpoint's manifest, and so of all its files.

        Raises:
            CheckpointError: the checkpoint is missing or damaged.
        """

        def read() -> str:
            manifest, _ = self._open(update)
            return str(json.loads(encode_manifest(manifest))["sha256"])

        found: str = self._checked(update, read)
        return found

    @abc.abstractmethod
    def published_at(self, update: int) -> float | None:
        """Returns when a checkpoint was complete, in seconds since 1970 by the clock of the store.

        None if there is no such checkpoint, or the store does not tell times.
        """

    def check_game(self, update: int, *, game: str, fingerprint: str) -> None:
        """Raises `CheckpointError` unless the checkpoint was written for these rules.

        Args:
            update: which checkpoint.
            game: the game's name.
            fingerprint: of its rules, see `selfplay.registry.fingerprint`.
        """
        written = self.metadata(update)
        label = f"checkpoint {self.url}/{update} was written for {written.get('game')}"
        if written.get("game") != game:
            raise CheckpointError(f"{label}, but the game is {game}")
        if written.get("fingerprint") != fingerprint:
            raise CheckpointError(
                f"{label} with other rules (fingerprint {written.get('fingerprint')}, now "
                f"{fingerprint})",
                hint="the game's options, version or source have changed since",
            )

    def size(self, update: int) -> int:
        """Returns the bytes of a checkpoint's files.

        Raises:
            CheckpointError: the checkpoint is missing or damaged.
        """
        manifest: dict[str, Any] = self._checked(update, lambda: self._open(update)[0])
        return sum(int(file["bytes"]) for file in manifest["files"].values())

    def prune(
        self,
        *,
        keep_last: int,
        spread: int = 0,
        pinned_every: int = 0,
        pinned: Collection[int] = (),
    ) -> list[int]:
        """Removes old checkpoints and returns which; the newest is never among them.

        Args:
            keep_last: how many of the newest stay, at least 1.
            spread: so many older ones stay at most, see `spread_updates`.
            pinned_every: multiples of it stay; 0 for none.
            pinned: these stay.
        """
        older = self.updates()[: -max(keep_last, 1)]
        stay = {*pinned, *spread_updates(older, spread)}
        removed = [
            update
            for update in older
            if update not in stay and not (pinned_every and update % pinned_every == 0)
        ]
        for update in removed:
            self._remove(update)
        return removed

    @abc.abstractmethod
    def recover(self) -> None:
        """Removes what a killed writer left behind. For the writer only."""

    @abc.abstractmethod
    def _open(self, update: int) -> tuple[dict[str, Any], ReadFiles]:
        """Returns the manifest of a checkpoint, and what reads and verifies its files."""

    @abc.abstractmethod
    def _remove(self, update: int) -> None:
        """Removes a checkpoint; readers never take a half-removed one for complete."""

    @abc.abstractmethod
    def _is_there(self, update: int) -> bool:
        """Returns whether there is a checkpoint of that update, damaged or not."""

    @abc.abstractmethod
    def _label(self, update: int) -> str:
        """Returns what to call a checkpoint in messages."""

    @abc.abstractmethod
    def _listen(self) -> Listener:
        """Returns a listener that wakes up when there is a new checkpoint."""

    def _checked(self, update: int, read: Callable[[], T]) -> T:
        """Returns `read()`; its errors name the checkpoints that could be used instead."""
        try:
            return read()
        except CheckpointError as error:
            others = [other for other in self.updates() if other != update]
            listed = ", ".join(map(str, others[-10:]))
            hint = f"use {typed(f'{self.url}@UPDATE')}; other complete checkpoints are: {listed}"
            if not self._is_there(update):
                raise CheckpointError(
                    f"{self.url} has no checkpoint {update}",
                    hint=hint if others else "it has none at all yet",
                ) from None
            fallback = hint if others else "there is no other checkpoint in this run"
            raise CheckpointError(str(error), hint=error.hint or fallback) from error.__cause__
