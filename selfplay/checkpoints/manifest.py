"""The manifest of a checkpoint: which files belong to it, and their checksums."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from selfplay.errors import CheckpointError
from selfplay.store.files import sync_directory

MANIFEST = "manifest.json"
FORMAT = 1


def write_manifest(directory: Path, trees: dict[str, Any]) -> None:
    """Writes the manifest: the files of `directory` and their checksums. It is written last.

    Args:
        directory: the checkpoint, under its temporary name.
        trees: item to description of its leaves.
    """
    files = {
        name: {"bytes": path.stat().st_size, "sha256": _checksum(path)}
        for name, path in sorted(_files(directory).items())
    }
    with (directory / MANIFEST).open("wb") as file:
        file.write(encode_manifest({"format": FORMAT, "files": files, "trees": trees}))
        file.flush()
        os.fsync(file.fileno())
    sync_directory(directory)


def encode_manifest(body: dict[str, Any]) -> bytes:
    """Returns the content of the file for a manifest."""
    return json.dumps({"sha256": _digest(body), "manifest": body}).encode() + b"\n"


def read_manifest(directory: Path) -> dict[str, Any]:
    """Returns the manifest: "format", "files" and "trees".

    Raises:
        CheckpointError: it is missing or damaged, or of a newer format.
    """
    try:
        data = (directory / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise incomplete(directory) from None
    return parse_manifest(data, label=directory)["manifest"]


def parse_manifest(data: bytes, *, label: object) -> dict[str, Any]:
    """Returns the whole document: "sha256", "manifest" and what a store may have added.

    Args:
        data: the content of the file.
        label: names the checkpoint in messages.

    Raises:
        CheckpointError: it is damaged, or of a newer format.
    """
    try:
        document: dict[str, Any] = json.loads(data)
        body = document["manifest"]
        intact = document["sha256"] == _digest(body)
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise CheckpointError(f"checkpoint {label} is damaged: {MANIFEST} was altered")
    if body["format"] > FORMAT:
        raise CheckpointError(
            f"checkpoint {label} has format {body['format']}, but this selfplay reads up to "
            f"{FORMAT}",
            hint="upgrade selfplay",
        )
    return document


def incomplete(label: object) -> CheckpointError:
    """Returns the error for a checkpoint without a manifest."""
    return CheckpointError(f"checkpoint {label} is incomplete: {MANIFEST} is missing")


def item_files(manifest: dict[str, Any], item: str) -> list[str]:
    """Returns the files of one item: a file or a folder of the checkpoint."""
    return [name for name in manifest["files"] if name == item or name.startswith(f"{item}/")]


def read_verified(directory: Path, manifest: dict[str, Any], name: str) -> bytes:
    """Returns the content of one file of a checkpoint.

    Raises:
        CheckpointError: it is missing, truncated or altered.
    """
    try:
        data = (directory / name).read_bytes()
    except FileNotFoundError:
        problem = f"{name} is missing"
    except OSError as error:
        problem = f"{name} cannot be read: {error.strerror}"
    else:
        return verified(data, manifest, name, label=directory)
    raise CheckpointError(f"checkpoint {directory} is damaged: {problem}")


def verified(data: bytes, manifest: dict[str, Any], name: str, *, label: object) -> bytes:
    """Returns `data` if it is the content that the manifest has for a file.

    Raises:
        CheckpointError: it is truncated or altered.
    """
    expected = manifest["files"][name]
    if len(data) != expected["bytes"]:
        problem = f"{name} has {len(data)} bytes instead of {expected['bytes']}"
    elif hashlib.sha256(data).hexdigest() != expected["sha256"]:
        problem = f"{name} was altered"
    else:
        return data
    raise CheckpointError(f"checkpoint {label} is damaged: {problem}")


def _files(directory: Path) -> dict[str, Path]:
    return {
        (Path(folder) / name).relative_to(directory).as_posix(): Path(folder) / name
        for folder, _, names in os.walk(directory)
        for name in names
    }


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
