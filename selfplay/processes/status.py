"""How a run is doing, from what lies in its directory."""

import contextlib
import shutil
import time
from pathlib import Path
from typing import Any

from selfplay.errors import CheckpointError, RunError
from selfplay.run import Heartbeat, RunDirectory, read_evaluations, read_heartbeats

_LITTLE_SPACE_BYTES = 500e6


def run_status(run_path: Path) -> dict[str, Any]:
    """Returns the state of a run, while it trains or afterwards. Reads only.

    Keys: `run`, `game`, `update`, `matches` and `positions` played, `reuse`, `elapsed_seconds` of
    training, `plan` (minutes and updates, 0 for none), newest `checkpoint`, `processes` (`role`,
    `id`, `alive`, `checkpoint`, `matches_per_second`, ...), newest `strength` against each
    opponent, and `problems`: texts, none if all is well.

    Raises:
        RunError: it is no run.
    """
    run = RunDirectory.open(run_path)
    problems: list[str] = []
    beats = read_heartbeats(run_path)
    checkpoint = run.checkpoints.latest()
    progress = checkpoint_progress(run, problems)
    for beat in beats:
        # A process that is at work knows more than its last checkpoint.
        if beat.alive and beat.fields.get("update", -1) >= progress["update"]:
            progress |= {key: beat.fields[key] for key in progress if key in beat.fields}
        if not beat.alive:
            problems.append(_silence(beat))
    free = shutil.disk_usage(run_path).free
    if free < _LITTLE_SPACE_BYTES:
        problems.append(f"the disk of {run_path} has only {free / 1e6:.0f} MB left")
    positions = progress["positions"]
    batch = run.config.learner.batch_size
    return {
        "run": str(run_path),
        "game": run.game_name,
        **progress,
        "reuse": progress["update"] * batch / positions if positions else None,
        "plan": progress_plan(run),
        "checkpoint": checkpoint,
        "processes": [_process(beat) for beat in beats],
        "strength": _strength(run_path, problems),
        "problems": problems,
    }


def checkpoint_progress(run: RunDirectory, problems: list[str]) -> dict[str, Any]:
    """Returns `update`, `matches`, `positions` and `elapsed_seconds` of the newest checkpoint.

    A damaged one is added to `problems`; everything is 0 then, as before the first.
    """
    nothing = {"update": 0, "matches": 0, "positions": 0, "elapsed_seconds": 0.0}
    newest = run.checkpoints.latest()
    if newest is None:
        return nothing
    try:
        cursor = run.checkpoints.metadata(newest)["cursor"]
    except CheckpointError as error:
        problems.append(f"{error}; {error.hint}" if error.hint else str(error))
        return {**nothing, "update": newest}
    return {"update": newest, **{key: cursor[key] for key in nothing if key != "update"}}


def progress_plan(run: RunDirectory) -> dict[str, float]:
    """Returns the planned length: `minutes` and `updates`, 0 for none.

    The newest checkpoint knows it better than the run: each session may plan anew.
    """
    trainer = run.config.to_dict()["trainer"]
    newest = run.checkpoints.latest()
    if newest is not None:
        # A damaged one is reported elsewhere.
        with contextlib.suppress(CheckpointError):
            trainer |= run.checkpoints.metadata(newest).get("config", {}).get("trainer", {})
    return {key: trainer[key] for key in ("minutes", "updates")}


def _process(beat: Heartbeat) -> dict[str, Any]:
    return {
        **beat.fields,
        "role": beat.role,
        "id": beat.id,
        "alive": beat.alive,
        "checkpoint": beat.fields.get("checkpoint"),
        "matches_per_second": beat.fields.get("matches_per_second"),
        "host": beat.host,
        "pid": beat.pid,
        "seconds_ago": max(0.0, time.time() - beat.time),
    }


def _silence(beat: Heartbeat) -> str:
    ago = max(0.0, time.time() - beat.time)
    return (
        f"{beat.role} {beat.id} (pid {beat.pid} on {beat.host}) ended without saying so, "
        f"{ago:.0f} seconds ago or less; the same command goes on from the newest checkpoint"
    )


def _strength(run_path: Path, problems: list[str]) -> list[dict[str, Any]]:
    """Returns the newest result against each opponent."""
    try:
        newest = {row["opponent"]: row for row in read_evaluations(run_path)}
    except RunError as error:
        problems.append(f"{error}; {error.hint}")
        return []
    keys = ("opponent", "score", "low", "high", "update", "matches", "distinct_matches")
    return [{key: row[key] for key in keys if key in row} for row in newest.values()]
