"""Clones a run: the new run begins at a checkpoint of another one, which is only read."""

import dataclasses
import datetime
import json
from collections.abc import Mapping
from typing import Any

from selfplay.checkpoints.checkpoints import FOLDER as CHECKPOINTS
from selfplay.checkpoints.manifest import MANIFEST
from selfplay.errors import CheckpointError
from selfplay.run.directory import RunDirectory
from selfplay.run.match_files import REANALYSES, REFUSED, MatchFiles
from selfplay.run.ratings import FOLDER as RATINGS
from selfplay.run.run_file import check_vacant
from selfplay.run.storage_limit import TRAINING_LOG
from selfplay.run.window_files import reanalysis_files, window_files
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.version import software_version

_HISTORY = (TRAINING_LOG, REFUSED)

_Files = set[tuple[str, int]]
"""Worker and number of each."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clone:
    """What a clone holds.

    Attributes:
        run: the new run.
        update: of its checkpoint.
        match_files: how many files of matches were copied.
        bytes: of everything copied.
    """

    run: RunDirectory
    update: int
    match_files: int
    bytes: int


def clone_run(
    source: Place, destination: Place, *, update: int | None = None, with_matches: bool = False
) -> Clone:
    """Copies a checkpoint and the matches of its replay window, between any two stores.

    The table `origin` of the new run.toml says where the run came from. run.toml is written last,
    so an unfinished clone is no run.

    Args:
        source: the run to copy; it may be trained meanwhile.
        destination: an absent or empty directory, or an unused prefix of a store.
        update: which checkpoint; by default the newest.
        with_matches: whether to copy all matches, the training log, and the evaluations up to the
            checkpoint.

    Raises:
        RunError: the source is no run, or something lies at the destination.
        CheckpointError: there is no such checkpoint, or it is damaged.
        RecordError: a file of matches that the checkpoint needs is missing.
        StorageError: a store cannot be reached, or is full.
    """
    run = RunDirectory.open(source)
    target = open_store(destination)
    check_vacant(target)
    checkpoints = run.checkpoints
    if update is None:
        update = checkpoints.latest()
    if update is None:
        raise CheckpointError(
            f"{run.url} has no checkpoint yet",
            hint="the first one comes within a minute of training",
        )
    metadata = checkpoints.metadata(update)
    manifest, contents = checkpoints.read_files(update)
    copied = 0
    for name, data in {**contents, MANIFEST: manifest}.items():
        target.write(f"{CHECKPOINTS}/{update}/{name}", data)
        copied += len(data)
    cursor = metadata.get("cursor", {})
    held = {(file.worker, file.sequence) for file in reanalysis_files(cursor)}
    again = held | _last_taken(cursor, "next_reanalyses")
    wanted = _window(cursor) | _last_taken(cursor, "next_files")
    if with_matches:
        wanted |= {(item.worker, item.sequence) for item in run.matches.entries()}
        again |= {(item.worker, item.sequence) for item in run.reanalyses.entries()}
        for folder in (*_HISTORY, RATINGS):
            for name in run.store.names(folder):
                if folder != RATINGS or _update_of(name) <= update:
                    data = run.store.read(name)
                    target.write(name, data)
                    copied += len(data)
    count, of_matches = _copy_matches(run.matches, MatchFiles(target), wanted, _window(cursor))
    _, of_reanalyses = _copy_matches(run.reanalyses, MatchFiles(target, REANALYSES), again, held)
    copied += of_matches + of_reanalyses
    document = {
        **run.document,
        "selfplay": software_version(),
        "created": _now(),
        "origin": {
            "run": run.url,
            "update": update,
            "created": run.created,
            "checkpoint_time": str(metadata.get("time", "")),
            "checkpoint_sha256": json.loads(manifest)["sha256"],
            "all_matches": with_matches,
            # The origins form a chain, back to the first run.
            **({"origin": run.document["origin"]} if "origin" in run.document else {}),
        },
    }
    made = RunDirectory.create_from(target, document, vacant=True)
    return Clone(run=made, update=update, match_files=count, bytes=copied)


def _window(cursor: Mapping[str, Any]) -> _Files:
    """Returns the files in the replay window of a checkpoint."""
    return {(file.worker, file.sequence) for file in window_files(cursor)}


def _last_taken(cursor: Mapping[str, Any], key: str) -> _Files:
    """Returns the last file of each worker that the checkpoint has taken in."""
    return {(str(w), int(n) - 1) for w, n in cursor.get(key, {}).items() if n > 0}


def _copy_matches(
    source: MatchFiles, target: MatchFiles, wanted: _Files, needed: _Files
) -> tuple[int, int]:
    """Copies files of matches; returns how many, and their bytes.

    Args:
        source: of the run to copy.
        target: of the clone.
        wanted: what to copy.
        needed: those that must be there.
    """
    count = copied = 0
    for worker, sequence in sorted(wanted):
        if (worker, sequence) not in needed and not source.has(worker, sequence):
            # Consumers have read past this number, so the worker must not use it again.
            target.set_aside(worker, sequence, "not there when cloned")
            continue
        data = source.get_encoded(worker, sequence)
        target.put_encoded(worker, sequence, data)
        count += 1
        copied += len(data)
    return count, copied


def _update_of(name: str) -> int:
    digits = name.rpartition("/")[2].partition("-")[0]
    return int(digits) if digits.isdecimal() else 0


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
