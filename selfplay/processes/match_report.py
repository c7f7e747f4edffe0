"""The recorded matches of a run, as documents for people and scripts."""

from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree

from selfplay.errors import RecordError
from selfplay.processes.match_files import MatchFiles
from selfplay.records import MatchRecord, read_matches
from selfplay.replay.rebuild import Rebuilder
from selfplay.run import RunDirectory


def newest_matches(run_path: Path, *, limit: int = 0) -> list[dict[str, Any]]:
    """Returns matches, newest first: match_id, plies, result, returns, checkpoint, truncated.

    Args:
        run_path: the run directory.
        limit: how many; 0 for all.

    Raises:
        RunError: it is no run.
        RecordError: a file of matches is damaged.
    """
    files = MatchFiles(RunDirectory.open(run_path).matches_path).all()
    # By time, because several workers may have written them; their order decides between equals.
    files.sort(key=lambda file: file.stat().st_mtime)
    rows: list[dict[str, Any]] = []
    for file in reversed(files):
        rows += [_summary(match) for match in reversed(read_matches(file))]
        if limit and len(rows) >= limit:
            return rows[:limit]
    return rows


def match_report(run_path: Path, match_id: str) -> dict[str, Any]:
    """Returns one match with its board, move and values at every ply.

    Raises:
        RunError: it is no run, or its game has changed.
        RecordError: there is no such match, it is damaged, or does not follow the rules.
    """
    run = RunDirectory.open(run_path)
    match = _find(run, match_id)
    game = run.make_game()
    positions = Rebuilder(game)([match])
    states = [_one(positions.states, ply) for ply in range(match.plies)]
    moves = []
    for ply, state in enumerate(states):
        action = int(match.actions[ply])
        actions, probabilities = match.policy(ply)
        moves.append(
            {
                "ply": ply,
                "board": game.render(state),
                "player": int(match.players[ply]),
                "action": action,
                "name": game.action_to_string(state, action),
                "value": float(match.root_values[ply]),
                "network_value": float(match.raw_values[ply]),
                "simulations": int(match.simulations[ply]),
                "policy": {str(a): float(p) for a, p in zip(actions, probabilities, strict=True)},
                "exploratory": bool(match.exploratory[ply]),
            }
        )
    return {
        **_summary(match),
        "game": match.game,
        "worker": match.worker,
        "moves": moves,
        "board": game.render(_one(positions.final_states, 0)),
    }


def _one(states: PyTree, index: int) -> PyTree:
    # On a device again: the game's own methods may be written for JAX arrays alone.
    return jax.device_put(jax.tree.map(lambda leaf: leaf[index], states))


def _summary(match: MatchRecord) -> dict[str, Any]:
    return {
        "match_id": match.match_id,
        "plies": match.plies,
        "result": _result(match),
        "returns": list(match.returns),
        "checkpoint": match.last_checkpoint,
        "truncated": match.truncated,
    }


def _result(match: MatchRecord) -> str:
    first = match.returns[0]
    cut = f", cut at {match.plies} plies" if match.truncated else ""
    if first == 0:
        return f"a draw{cut}"
    margin = "" if abs(first) == 1 else f" by {abs(first):.2f}"
    return f"player {0 if first > 0 else 1} wins{margin}{cut}"


def _find(run: RunDirectory, match_id: str) -> MatchRecord:
    files = MatchFiles(run.matches_path)
    # A match is named by worker, number of the file, and place in it.
    worker, _, rest = match_id.rpartition("-")[0].rpartition("-")
    if worker and rest.isdecimal() and files.file(worker, int(rest)).is_file():
        for match in files.get(worker, int(rest)):
            if match.match_id == match_id:
                return match
    raise RecordError(
        f"{run.path} has no match {match_id!r}",
        hint=f"selfplay matches {run.path} lists the matches",
    )
