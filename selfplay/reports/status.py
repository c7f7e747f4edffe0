"""The state of a run, from the files in it."""

import datetime
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.diagnosis.diagnose import diagnose
from selfplay.diagnosis.evidence import read_evidence
from selfplay.errors import CheckpointError, RunError
from selfplay.run import (
    Heartbeat,
    RunDirectory,
    hours_by_role,
    newest_results,
    read_evaluations,
    read_heartbeats,
    read_mistakes,
    read_suite_results,
)
from selfplay.settings import CostConfig
from selfplay.store import Place, Store

_LITTLE_SPACE_BYTES = 500e6
_LONG_SECONDS = 120.0
_STALE_SECONDS = 30.0
_CLOCK_SECONDS = 10.0
_WATCH_SECONDS = 7.0
"""More than the five seconds from one heartbeat to the next."""
_COUNTERS = ("matches", "positions", "elapsed_seconds")
_RECENT = (
    "recent_matches",
    "results",
    "truncated_share",
    "resigned_share",
    "resign_threshold",
    "false_resign_rate",
    "solver_agreement",
    "solver_value_error",
    "mean_length",
)


def run_status(place: Place | Store, *, diagnosis: bool = False) -> dict[str, Any]:
    """Returns the state of a run, while it trains or afterwards. Reads only.

    Keys: `run`, `game`, `origin` (the run and checkpoint it was made from, or None), `update`,
    `matches` and `positions` taken in, `reuse`, `elapsed_seconds` of training, `plan` (minutes and
    updates, 0 for none), newest `checkpoint` and its `checkpoint_age_seconds`, `left_out` matches
    by reason, `damaged_files`, `processes` (`role`, `id`, `alive`, `state`, `checkpoint`,
    `matches_per_second`, `seconds_ago`, ...), newest `strength` against each opponent,
    `mistakes` of the newest checkpoint that was measured (None in a game without a solver),
    `suite`, what the newest checkpoint did that was asked a position suite (None without one),
    `recent` (how the newest `recent_matches` ended: `results` with the shares of "first", "second"
    and "draw", `truncated_share` ended by `max_plies`, `resigned_share`, the `resign_threshold` and
    its `false_resign_rate`, `solver_agreement` and `solver_value_error`, `mean_length` in plies;
    None if that is not known), `held_out` and
    `gate` (what the newest checkpoint says of matches kept out of training and of the gate, or
    None), `diagnosis` (the headline of `selfplay diagnose` as far as it can be
    told without asking the network; None unless asked for), `usage` (`hours` of processes by role,
    and their `cost`, None without prices in the settings `cost`), and `problems`: texts, none if
    all is well. The values of heartbeats are included: of a trainer `window_positions`,
    `window_age_updates`, `losses`, `data_age_seconds`, `staleness_updates` and more.

    Args:
        place: the run.
        diagnosis: whether to judge how the run learns, which reads its newest matches.

    Raises:
        RunError: it is not a run.
    """
    run = RunDirectory.open(place)
    problems: list[str] = []
    beats = read_heartbeats(run.store, watch_seconds=_WATCH_SECONDS)
    checkpoint = run.checkpoints.latest()
    metadata = _metadata(run, checkpoint, problems)
    cursor = metadata.get("cursor", {})
    progress = {"update": checkpoint or 0, **{key: cursor.get(key, 0) for key in _COUNTERS}}
    trainers = [beat.fields for beat in beats if beat.role == "trainer" and beat.alive]
    for fields in trainers:
        # While it runs, its heartbeat is newer than its last checkpoint.
        if fields.get("update", -1) >= progress["update"]:
            progress |= {key: fields[key] for key in progress if key in fields}
    age = _age(metadata)
    problems += process_problems(
        beats, checkpoint=checkpoint, checkpoint_age=_published_age(run, checkpoint, age)
    )
    if run.store.path is not None:
        free = shutil.disk_usage(run.store.path).free
        if free < _LITTLE_SPACE_BYTES:
            problems.append(f"the disk of {run.url} has only {free / 1e6:.0f} MB left")
    positions = progress["positions"]
    batch = run.config.learner.batch_size
    return {
        "run": run.url,
        "game": run.game_name,
        "origin": run.document.get("origin"),
        **progress,
        "reuse": progress["update"] * batch / positions if positions else None,
        "plan": _plan(run, metadata),
        "checkpoint": checkpoint,
        "checkpoint_age_seconds": age,
        "left_out": cursor.get("left_out", {}),
        "damaged_files": cursor.get("damaged_files", 0),
        "processes": [_process(beat) for beat in beats],
        "strength": _strength(run, problems),
        "mistakes": _mistakes(run, problems),
        "suite": _suite(run, problems),
        "held_out": metadata.get("held_out"),
        "gate": metadata.get("gate"),
        "diagnosis": _headline(run) if diagnosis else None,
        "recent": _recent([*reversed(trainers), metadata.get("recent", {})]),
        "usage": _usage(run, metadata, beats),
        "problems": problems,
    }


def _headline(run: RunDirectory) -> str:
    """Returns what a diagnosis says in one line; what it cannot read, the rest reports."""
    return diagnose(read_evidence(run, network=False)).headline


def process_problems(
    beats: list[Heartbeat], *, checkpoint: int | None, checkpoint_age: float | None
) -> list[str]:
    """Returns the problems of a run's processes, in words for people.

    Args:
        beats: their heartbeats.
        checkpoint: update of the newest checkpoint.
        checkpoint_age: seconds since it was written.
    """
    problems = [_silence(beat) for beat in beats if not beat.alive]
    alive = [beat for beat in beats if beat.alive]
    for beat in alive:
        ahead = beat.ahead or 0.0
        if abs(ahead) > _CLOCK_SECONDS:
            problems.append(
                f"the clock of {beat.host}, where {beat.role} {beat.id} runs, is "
                f"{abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} that of the "
                "store"
            )
        problems += [
            f"{beat.role} {beat.id}: {beat.fields[key]}"
            for key in ("store_problem", "checkpoint_problem", "compile_problem")
            if beat.fields.get(key)
        ]
    workers = [beat for beat in alive if beat.role == "worker"]
    for beat in alive:
        state = str(beat.fields.get("state", ""))
        starved = beat.fields.get("starved_seconds") or 0.0
        if beat.role == "trainer" and starved >= _LONG_SECONDS:
            what = "no worker is alive" if not workers else "no matches came"
            problems.append(
                f"the trainer is {state or 'starved'}: {what} for {starved:.0f} seconds"
            )
    for beat in workers:
        used = beat.fields.get("checkpoint")
        late = (checkpoint_age or 0.0) > _STALE_SECONDS
        if used is not None and checkpoint is not None and used < checkpoint and late:
            problems.append(
                f"worker {beat.id} plays with checkpoint {used}, though {checkpoint} has been "
                f"there for {checkpoint_age:.0f} seconds"
            )
    return problems


def _metadata(run: RunDirectory, update: int | None, problems: list[str]) -> dict[str, Any]:
    """Returns the metadata of a checkpoint; if it is damaged, that is added to `problems`."""
    if update is None:
        return {}
    try:
        return run.checkpoints.metadata(update)
    except CheckpointError as error:
        problems.append(f"{error}; {error.hint}" if error.hint else str(error))
        return {}


def _age(metadata: dict[str, Any]) -> float | None:
    """Returns how many seconds ago a checkpoint was written."""
    if "time" not in metadata:
        return None
    written = datetime.datetime.fromisoformat(metadata["time"])
    return max(0.0, (datetime.datetime.now(datetime.UTC) - written).total_seconds())


def _recent(sources: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Returns the results of the newest matches, from the first source that has any."""
    for fields in sources:
        if fields.get("recent_matches"):
            return {key: fields.get(key) for key in _RECENT}
    return None


def _published_age(run: RunDirectory, update: int | None, age: float | None) -> float | None:
    """Returns the smaller of a checkpoint's ages by the clocks of the trainer and of the store."""
    published = None if update is None else run.checkpoints.published_at(update)
    if published is None or age is None:
        return age
    return min(age, max(0.0, time.time() - published))


def _plan(run: RunDirectory, metadata: dict[str, Any]) -> dict[str, float]:
    """Returns the planned length: `minutes` and `updates`, 0 for none.

    From the newest checkpoint if there is one, because each session may change the plan.
    """
    trainer = run.config.to_dict()["trainer"] | metadata.get("config", {}).get("trainer", {})
    return {key: trainer[key] for key in ("minutes", "updates")}


def _usage(run: RunDirectory, metadata: dict[str, Any], beats: list[Heartbeat]) -> dict[str, Any]:
    """Returns the hours of processes by role, and the bill; None for it without prices."""
    hours = hours_by_role(run.store, beats)
    prices = prices_of(run, metadata)
    return {"hours": hours, "cost": prices.bill(hours) if prices.known else None}


def prices_of(run: RunDirectory, metadata: Mapping[str, Any]) -> CostConfig:
    """Returns the prices: those of the newest checkpoint, because each session may change them.

    Args:
        run: the run.
        metadata: of the newest checkpoint; empty before the first.
    """
    settings = metadata.get("config", {}).get("cost")
    return run.config.updated({} if settings is None else {"cost": settings}).cost


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
        "seconds_ago": beat.age,
    }


def _silence(beat: Heartbeat) -> str:
    return (
        f"{beat.role} {beat.id} (pid {beat.pid} on {beat.host}) ended without saying so, "
        f"{beat.age:.0f} seconds ago or less; the same command goes on from the newest checkpoint"
    )


def _strength(run: RunDirectory, problems: list[str]) -> list[dict[str, Any]]:
    """Returns the newest result against each opponent."""
    evaluations = read_evaluations(
        run.store, lambda error: problems.append(f"{error}; {error.hint}")
    )
    newest = newest_results(evaluations)
    keys = ("opponent", "score", "low", "high", "update", "matches", "distinct_matches")
    return [{key: row[key] for key in keys if key in row} for row in newest]


def _mistakes(run: RunDirectory, problems: list[str]) -> dict[str, Any] | None:
    """Returns the newest measurement in solved positions."""
    try:
        records = read_mistakes(run.store)
    except RunError as error:
        problems.append(f"{error}; {error.hint}")
        return None
    return records[-1] if records else None


def _suite(run: RunDirectory, problems: list[str]) -> dict[str, Any] | None:
    """Returns the newest result in a position suite."""
    try:
        records = read_suite_results(run.store)
    except RunError as error:
        problems.append(f"{error}; {error.hint}")
        return None
    return records[-1] if records else None
