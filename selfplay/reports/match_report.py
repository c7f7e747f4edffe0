"""The recorded matches of a run, as documents for people and scripts."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from selfplay.arena.batches import row_on_device
from selfplay.errors import CheckpointError, ConfigError, RecordError, RunError
from selfplay.records import MatchRecord, decode_matches, written_by
from selfplay.records.match import RESIGNED
from selfplay.registry import GameSpec
from selfplay.replay.rebuild import Rebuilder
from selfplay.run import RunDirectory
from selfplay.run.storage_limit import TRAINING_LOG
from selfplay.settings import Config, settings_hash
from selfplay.store import Place
from selfplay.store.place import typed
from selfplay.training.training_log import read_segment


def newest_matches(
    run: Place,
    *,
    limit: int = 0,
    worker: str | None = None,
    first_checkpoint: int | None = None,
    last_checkpoint: int | None = None,
    on_problem: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Returns matches with their provenance, newest first.

    Keys: match_id, plies, result, those of docs/records.md that are of a whole match ("checkpoint"
    is that of the last ply), and selfplay, the version that wrote it.

    Args:
        run: the run.
        limit: how many; 0 for all.
        worker: only those of this worker.
        first_checkpoint: only those ended by this checkpoint or a later one.
        last_checkpoint: only those ended by this checkpoint or an earlier one.
        on_problem: called for each file that was left out because it is damaged or foreign.

    Raises:
        RunError: it is no run.
        StorageError: the store cannot be reached.
    """
    low = 0 if first_checkpoint is None else first_checkpoint
    high = float("inf") if last_checkpoint is None else last_checkpoint
    files = RunDirectory.open(run).matches
    rows: list[dict[str, Any]] = []
    # By time, because several workers may have written them, and then by their order.
    for file in reversed(files.entries()):
        if worker is not None and file.worker != worker:
            continue
        try:
            data = files.get_encoded(file.worker, file.sequence)
            matches = decode_matches(data, source=files.name(file.worker, file.sequence))
        except RecordError as error:
            on_problem(str(error))
            continue
        version = written_by(data)
        rows += [
            {**_summary(match), "selfplay": version}
            for match in reversed(matches)
            if low <= match.last_checkpoint <= high
        ]
        if limit and len(rows) >= limit:
            return rows[:limit]
    return rows


def stored_checkpoints(
    run: Place, *, limit: int = 0, on_problem: Callable[[str], None] = lambda text: None
) -> list[dict[str, Any]]:
    """Returns the checkpoints of a run with their provenance, newest first.

    Keys: update, time, matches and positions learnt from until then, settings_hash (of the
    settings that matches were to be made with from then on), fingerprint, selfplay.

    Args:
        run: the run.
        limit: how many; 0 for all.
        on_problem: called for each one that was left out because it is damaged.

    Raises:
        RunError: it is no run.
        StorageError: the store cannot be reached.
    """
    checkpoints = RunDirectory.open(run).checkpoints
    rows: list[dict[str, Any]] = []
    for update in reversed(checkpoints.updates()):
        try:
            metadata = checkpoints.metadata(update)
        except CheckpointError as error:
            on_problem(str(error))
            continue
        cursor = metadata.get("cursor", {})
        rows.append(
            {
                "update": update,
                "time": metadata.get("time"),
                "matches": cursor.get("matches"),
                "positions": cursor.get("positions"),
                "settings_hash": _hash(metadata.get("config")),
                "fingerprint": metadata.get("fingerprint"),
                "selfplay": metadata.get("selfplay"),
            }
        )
        if len(rows) == limit:
            break
    return rows


def match_report(place: Place, match_id: str, *, game: GameSpec | None = None) -> dict[str, Any]:
    """Returns one match with board, move and values at every ply, and its provenance.

    "settings" are those of search and rollout that played it, if a checkpoint or the training log
    has them.

    Args:
        place: the run.
        match_id: of the match.
        game: where the game of the run is now; None for where the run has it.

    Raises:
        RunError: it is no run, or its game has changed.
        RecordError: there is no such match, it is damaged, or does not follow the rules.
    """
    run = RunDirectory.open(place)
    match = find_match(run, match_id)
    rules = run.make_game(game)
    positions = Rebuilder(rules)([match])
    states = [row_on_device(positions.states, ply) for ply in range(match.plies)]
    moves = []
    for ply, state in enumerate(states):
        actions, probabilities = match.policy(ply)
        moves.append(
            {
                "ply": ply,
                "board": rules.render(state),
                "name": rules.action_to_string(state, int(match.actions[ply])),
                **match.values("ply", ply),
                "policy": {str(a): float(p) for a, p in zip(actions, probabilities, strict=True)},
            }
        )
    return {
        **_summary(match),
        "settings": _settings(run, match.settings_hash),
        "moves": moves,
        "board": rules.render(row_on_device(positions.final_states, 0)),
    }


def _summary(match: MatchRecord) -> dict[str, Any]:
    return {
        "match_id": match.match_id,
        "plies": match.plies,
        "result": _result(match),
        **match.values("match"),
        "returns": list(match.returns),
    }


def _settings(run: RunDirectory, wanted: str) -> dict[str, Any] | None:
    """Returns the settings with that hash: of the run, a checkpoint, or the training log."""
    for config in _configs(run):
        if _hash(config) == wanted:
            return {section: config[section] for section in ("search", "rollout")}
    return None


def _configs(run: RunDirectory) -> Iterator[dict[str, Any]]:
    """Yields all settings that were in force in a run, the newest first."""
    yield run.config.to_dict()
    for update in reversed(run.checkpoints.updates()):
        with contextlib.suppress(CheckpointError):
            yield run.checkpoints.metadata(update).get("config") or {}
    # Checkpoints are pruned; the log keeps the settings that led to each of them.
    for name in sorted(run.store.names(TRAINING_LOG), reverse=True):
        number = name.rpartition("/")[2].removesuffix(".json")
        if number.isdecimal():
            with contextlib.suppress(RunError):
                yield read_segment(run, int(number))[0]


def _hash(config: dict[str, Any] | None) -> str | None:
    try:
        return settings_hash(Config.from_dict(config)) if config else None
    except ConfigError:
        # Written by a version of selfplay with other settings.
        return None


def _result(match: MatchRecord) -> str:
    first = match.returns[0]
    cut = ""
    if match.truncated:
        cut = f", cut at {match.plies} plies"
    elif match.ending == RESIGNED:
        cut = " by resignation"
    if first == 0:
        return f"a draw{cut}"
    margin = "" if abs(first) == 1 else f" by {abs(first):.2f}"
    return f"player {0 if first > 0 else 1} wins{margin}{cut}"


def find_match(run: RunDirectory, match_id: str) -> MatchRecord:
    """Returns a match by its id; raises `RecordError` if there is none, or it is damaged."""
    # The id consists of worker, number of the file, and place in the file.
    worker, _, rest = match_id.rpartition("-")[0].rpartition("-")
    known = worker in run.matches.workers() and rest.isdecimal()
    if known and run.matches.has(worker, int(rest)):
        for match in run.matches.get(worker, int(rest)):
            if match.match_id == match_id:
                return match
    raise RecordError(
        f"{run.url} has no match {match_id!r}",
        hint=f"selfplay matches {typed(run.url)} lists the matches",
    )
