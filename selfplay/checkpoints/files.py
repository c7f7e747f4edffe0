"""The files of one checkpoint: written, read back and copied, wherever they are stored."""

import contextlib
import datetime
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from selfplay.checkpoints.manifest import read_manifest, read_verified, write_manifest
from selfplay.checkpoints.trees import check_tree, write_tree
from selfplay.errors import CheckpointError, StorageError
from selfplay.store.files import sync_tree
from selfplay.version import software_version

METADATA = "metadata.json"

ReadFiles = Callable[[Sequence[str]], dict[str, bytes]]
"""Takes the names of files of one checkpoint and returns their verified contents."""


def write_files(
    directory: Path,
    update: int,
    items: Mapping[str, PyTree],
    metadata: Mapping[str, Any],
    *,
    label: str,
) -> None:
    """Writes the files of a checkpoint into an empty directory, then reads them once.

    Args:
        directory: an empty directory.
        update: the number of the checkpoint.
        items: trees of arrays, numbers and typed keys by name.
        metadata: anything JSON can hold; update, version and time are added.
        label: names the checkpoint in messages.

    Raises:
        StorageError: the files cannot be written, or cannot be read afterwards.
    """
    trees = {
        item: write_tree(directory / item, tree, name=Path(label)) for item, tree in items.items()
    }
    document = {
        **metadata,
        "update": update,
        "selfplay": software_version(),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "items": list(items),
    }
    text = json.dumps(document, indent=1) + "\n"
    (directory / METADATA).write_text(text, encoding="utf-8")
    # The manifest comes last and after a sync: a directory that has one is complete.
    sync_tree(directory)
    write_manifest(directory, trees)
    read_back(directory, label)


def read_back(directory: Path, label: str) -> None:
    """Opens a checkpoint that was just written, as a reader would.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        manifest = read_manifest(directory)
        json.loads(read_verified(directory, manifest, METADATA))
        for item, description in manifest["trees"].items():
            check_tree(directory / item, description)
    except (CheckpointError, ValueError) as error:
        raise unreadable(label, error) from error


def unreadable(label: str, error: Exception) -> StorageError:
    """Returns the error for a checkpoint that cannot be read right after it was written."""
    return StorageError(
        f"checkpoint {label} was written, but cannot be read: {error}",
        hint="it was removed, and the older checkpoints stay; check the disk or the store, and run "
        "the same command again",
    )


@contextlib.contextmanager
def temporary_copy(files: ReadFiles, names: Sequence[str]) -> Iterator[Path]:
    """Yields a folder with verified copies of some files; it is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="selfplay-") as folder:
        for name, data in files(names).items():
            file = Path(folder) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        yield Path(folder)
