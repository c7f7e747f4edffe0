"""Checkpoints in a remote store: written to local disk by orbax, then uploaded."""

import functools
import json
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from selfplay.checkpoints.checkpoints import FOLDER, Checkpoints
from selfplay.checkpoints.files import METADATA, ReadFiles, unreadable, write_files
from selfplay.checkpoints.manifest import MANIFEST, incomplete, parse_manifest, verified
from selfplay.errors import CheckpointError
from selfplay.store.files import storage_errors
from selfplay.store.node_cache import fetch_once
from selfplay.store.store import Listener, Store

_TRANSFERS_AT_ONCE = 8
_PLAYERS_NEED = ("weights", "accepted_weights", METADATA)
"""Parts of a checkpoint that every worker reads: they are fetched once per node."""


class RemoteCheckpoints(Checkpoints):
    """The checkpoints of a run in a bucket or in Redis.

    The manifest is uploaded last, in one write, so a checkpoint appears at once. If the same update
    is written again, the new files get other names, and the new manifest points to them ("at").
    """

    def __init__(
        self,
        store: Store,
        *,
        stamp: Callable[[], Mapping[str, Any]] = dict,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        """Reads and writes nothing yet.

        Args:
            store: of the run.
            stamp: returns metadata that every checkpoint gets (the game, its rules, the config).
            guard: raises if this process may no longer publish; called right before the manifest
                is written.
        """
        super().__init__(store.url, stamp=stamp)
        self._store = store
        self._guard = guard

    def save(
        self, update: int, items: Mapping[str, PyTree], *, metadata: Mapping[str, Any] | None = None
    ) -> str:
        folder = f"{FOLDER}/{update}"
        manifest = f"{folder}/{MANIFEST}"
        before = self._store.names(folder)
        # Without a manifest these are files of a writer that was killed.
        at = f"again-{uuid.uuid4().hex[:8]}/" if manifest in before else ""
        with (
            storage_errors(Path(tempfile.gettempdir())),
            tempfile.TemporaryDirectory(prefix="selfplay-") as scratch,
        ):
            stamped = {**self._stamp(), **(metadata or {})}
            write_files(Path(scratch), update, items, stamped, label=self._label(update))
            document = json.loads((Path(scratch) / MANIFEST).read_bytes())
            names = list(document["manifest"]["files"])

            def upload(name: str) -> str:
                target = f"{folder}/{at}{name}"
                self._store.write(target, (Path(scratch) / name).read_bytes())
                return target

            written = _all(upload, names)
        self._check_sizes(update, at, document["manifest"]["files"])
        self._guard()
        self._publish(update, json.dumps({**document, "at": at}).encode())
        self._store.notify(FOLDER)
        _all(self._store.delete, sorted({*before} - {*written, manifest}))
        return self._label(update)

    def _check_sizes(self, update: int, at: str, files: Mapping[str, Any]) -> None:
        """Raises `StorageError` unless the store has all files of a checkpoint in full length."""
        folder = f"{FOLDER}/{update}"
        stored = {entry.name: entry.bytes for entry in self._store.entries(folder)}
        for name, expected in files.items():
            found = stored.get(f"{folder}/{at}{name}")
            if found != expected["bytes"]:
                problem = f"{name} has {found or 0} bytes there instead of {expected['bytes']}"
                raise unreadable(self._label(update), CheckpointError(problem))

    def _publish(self, update: int, manifest: bytes) -> None:
        """Writes the manifest and opens the checkpoint; if that fails, all is as it was before."""
        name = f"{FOLDER}/{update}/{MANIFEST}"
        before = self._store.read(name) if self._store.exists(name) else None
        self._store.write(name, manifest)
        try:
            _, files = self._open(update)
            json.loads(files([METADATA])[METADATA])
        except (CheckpointError, ValueError) as error:
            if before is None:
                self._store.delete(name)
            else:
                self._store.write(name, before)
            raise unreadable(self._label(update), error) from error

    def updates(self) -> list[int]:
        parts = (name.split("/") for name in self._store.names(FOLDER))
        return sorted(
            int(part[1])
            for part in parts
            if len(part) == 3 and part[1].isdecimal() and part[2] == MANIFEST
        )

    def latest(self) -> int | None:
        return next(self._descending(-1), None)

    def published_at(self, update: int) -> float | None:
        manifest = self._store.entry(f"{FOLDER}/{update}/{MANIFEST}")
        return None if manifest is None else manifest.time or None

    def recover(self) -> None:
        complete = {*self.updates()}
        newest = max(complete, default=-1)
        for folder in self._store.folders(FOLDER):
            # Older than a complete one, so it is not being written.
            if folder.isdecimal() and int(folder) not in complete and int(folder) < newest:
                self._remove(int(folder))

    def _remove(self, update: int) -> None:
        folder = f"{FOLDER}/{update}"
        # First, so that no reader takes the rest for a checkpoint.
        self._store.delete(f"{folder}/{MANIFEST}")
        _all(self._store.delete, self._store.names(folder))

    def _descending(self, above: int) -> Iterator[int]:
        """Returns complete updates above a number, the newest first."""
        folders = (int(name) for name in self._store.folders(FOLDER) if name.isdecimal())
        for update in sorted(folders, reverse=True):
            if update > above and self._is_there(update):
                yield update

    def _newest_above(self, update: int | None) -> int | None:
        return next(self._descending(-1 if update is None else update), None)

    def _listen(self) -> Listener:
        return self._store.listen(FOLDER)

    def _open(self, update: int) -> tuple[dict[str, Any], ReadFiles]:
        label = self._label(update)
        folder = f"{FOLDER}/{update}"
        try:
            document = parse_manifest(self._store.read(f"{folder}/{MANIFEST}"), label=label)
        except FileNotFoundError:
            raise incomplete(label) from None
        manifest, at = document["manifest"], document.get("at", "")

        def fetch(name: str) -> bytes:
            try:
                data = self._store.read(f"{folder}/{at}{name}")
            except FileNotFoundError:
                raise CheckpointError(f"checkpoint {label} is damaged: {name} is missing") from None
            return verified(data, manifest, name, label=label)

        def read(name: str) -> bytes:
            if name.partition("/")[0] not in _PLAYERS_NEED:
                return fetch(name)
            digest = manifest["files"][name]["sha256"]
            return fetch_once(digest, functools.partial(fetch, name))

        def files(names: Sequence[str]) -> dict[str, bytes]:
            return dict(zip(names, _all(read, names), strict=True))

        return manifest, files

    def _is_there(self, update: int) -> bool:
        return self._store.exists(f"{FOLDER}/{update}/{MANIFEST}")

    def _label(self, update: int) -> str:
        return self._store.label(f"{FOLDER}/{update}")


def _all(call: Callable[[str], Any], names: Sequence[str]) -> list[Any]:
    """Returns `call` of every name; several at once, because most of it is waiting."""
    with ThreadPoolExecutor(_TRANSFERS_AT_ONCE) as pool:
        return list(pool.map(call, names))
