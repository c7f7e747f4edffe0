"""Evaluation results: one small file each under `RUN/ratings`, never changed afterwards."""

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.errors import RunError
from selfplay.run.storage import atomic_write


def append_evaluation(
    run_path: Path,
    evaluation: Mapping[str, Any],
    matches: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Adds one evaluation: a JSON Lines file, the summary first, then a line per match.

    The same evaluation given twice is stored once, so a repetition after a restart adds nothing.

    Args:
        run_path: the run directory.
        evaluation: the summary. "update" and "opponent" are required; usual are "matches",
            "distinct_matches", "wins", "draws", "losses", "score" in [0, 1], its 95 % interval
            "low" and "high", "simulations", "elapsed_seconds" of training.
        matches: every match, with its opening.

    Returns:
        The file.

    Raises:
        StorageError: the disk is full or refuses the write.
    """
    content = [dict(evaluation), *map(dict, matches)]
    # The times of a repetition differ, its result does not.
    identity = [{k: v for k, v in line.items() if "second" not in k} for line in content]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    opponent = re.sub(r"[^A-Za-z0-9.]+", "-", str(evaluation["opponent"])).strip("-.")[-40:]
    file = run_path / "ratings" / f"{int(evaluation['update']):08d}-{opponent}-{digest}.jsonl"
    content[0] = {**content[0], "time": time.time()}
    if not file.exists():
        atomic_write(file, "".join(json.dumps(line) + "\n" for line in content).encode())
    return file


def read_evaluations(run_path: Path) -> list[dict[str, Any]]:
    """Returns the summaries of all evaluations, by update and then time.

    Raises:
        RunError: one of the files is damaged.
    """
    summaries = [_read(file)[0] for file in _files(run_path)]
    return sorted(summaries, key=lambda line: (line["update"], line["time"]))


def read_evaluation_matches(run_path: Path) -> list[dict[str, Any]]:
    """Returns every evaluation match, each with its evaluation's "update" and "opponent".

    Raises:
        RunError: one of the files is damaged.
    """
    matches = []
    for file in _files(run_path):
        summary, *lines = _read(file)
        of = {"update": summary["update"], "opponent": summary["opponent"]}
        matches += [{**of, **line} for line in lines]
    return matches


def _files(run_path: Path) -> list[Path]:
    return sorted((run_path / "ratings").glob("[!.]*.jsonl"))


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        # What every reader relies on.
        _ = lines[0]["update"], lines[0]["opponent"], lines[0]["time"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(
            f"{file} is damaged: {error}", hint="remove the file: only this evaluation is lost"
        ) from None
    return lines
