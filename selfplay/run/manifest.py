"""The manifest of a checkpoint: which files belong to it, and their checksums."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from selfplay.errors import CheckpointError
from selfplay.run.storage import sync_directory

MANIFEST = "manifest.json"
FORMAT = 1


def write_manifest(directory: Path, trees: dict[str, Any]) -> None:
    """Lists the files of `directory` with their checksums; written last, it makes it complete.

    Args:
        directory: the checkpoint, under its temporary name.
        trees: item to description of its leaves.
    """
    files = {
        name: {"bytes": path.stat().st_size, "sha256": _checksum(path)}
        for name, path in sorted(_files(directory).items())
    }
    body = {"format": FORMAT, "files": files, "trees": trees}
    document = {"sha256": _digest(body), "manifest": body}
    with (directory / MANIFEST).open("w") as file:
        file.write(json.dumps(document) + "\n")
        file.flush()
        os.fsync(file.fileno())
    sync_directory(directory)


def read_manifest(directory: Path) -> dict[str, Any]:
    """Returns the manifest: "format", "files" and "trees".

    Raises:
        CheckpointError: it is missing or damaged, or of a newer format.
    """
    path = directory / MANIFEST
    try:
        document = json.loads(path.read_bytes())
        body: dict[str, Any] = document["manifest"]
        intact = document["sha256"] == _digest(body)
    except FileNotFoundError:
        raise CheckpointError(
            f"checkpoint {directory} is incomplete: {MANIFEST} is missing"
        ) from None
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise CheckpointError(f"checkpoint {directory} is damaged: {MANIFEST} was altered")
    if body["format"] > FORMAT:
        raise CheckpointError(
            f"checkpoint {directory} has format {body['format']}, but this selfplay reads up to "
            f"{FORMAT}",
            hint="upgrade selfplay",
        )
    return body


def item_files(manifest: dict[str, Any], item: str) -> list[str]:
    """Returns the files of one item: a file or a folder of the checkpoint."""
    return [name for name in manifest["files"] if name == item or name.startswith(f"{item}/")]


def read_verified(directory: Path, manifest: dict[str, Any], name: str) -> bytes:
    """Returns the content of one file of a checkpoint.

    Raises:
        CheckpointError: it is missing, truncated or altered.
    """
    expected = manifest["files"][name]
    try:
        data = (directory / name).read_bytes()
    except FileNotFoundError:
        problem = f"{name} is missing"
    except OSError as error:
        problem = f"{name} cannot be read: {error.strerror}"
    else:
        if len(data) != expected["bytes"]:
            problem = f"{name} has {len(data)} bytes instead of {expected['bytes']}"
        elif hashlib.sha256(data).hexdigest() != expected["sha256"]:
            problem = f"{name} was altered"
        else:
            return data
    raise CheckpointError(f"checkpoint {directory} is damaged: {problem}")


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
