"""A match in a file: what `selfplay play` and the web board save and open."""

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.arena.agents import Analysis
from selfplay.arena.live import LiveMatch
from selfplay.errors import IllegalActionError, RecordError
from selfplay.game import Game
from selfplay.registry import fingerprint
from selfplay.store.files import atomic_write

FORMAT = "selfplay-match"
VERSION = 1

_MOST_BYTES = 10_000_000


def match_document(
    match: LiveMatch,
    *,
    players: Sequence[str],
    ending: str,
    returns: Sequence[float] | None,
    plies: Sequence[Mapping[str, Any] | None] | None = None,
    time: datetime.datetime | None = None,
) -> dict[str, Any]:
    """Returns a match as a JSON document; docs/web-protocol.md says what each key means.

    Args:
        match: its moves.
        players: who sat in seat 0 and in seat 1.
        ending: "finished", "resigned" or "left".
        returns: result for player 0 and player 1, in [-1, 1]; None if it was left.
        plies: what was thought at each move; None if nothing is known.
        time: when it ended.
    """
    start: dict[str, Any] = {"seed": match.seed}
    if match.start_key is not None:
        start = {"key": list(match.start_key)}
    return {
        "format": FORMAT,
        "version": VERSION,
        "game": match.game.name,
        "fingerprint": fingerprint(match.game),
        "start": start,
        "moves": list(match.actions),
        "outcomes": list(match.outcomes),
        "names": [name for _, name in match.history.moves],
        "players": list(players),
        "returns": None if returns is None else [float(one) for one in returns],
        "ending": ending,
        "time": None if time is None else time.isoformat(timespec="seconds"),
        "plies": list(plies) if plies is not None else [None] * len(match.actions),
    }


def save_match(file: Path, document: Mapping[str, Any]) -> None:
    """Writes a match to a file, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    atomic_write(file, json.dumps(document, indent=1, allow_nan=False).encode() + b"\n")


def load_match(file: Path, game: Game[Any]) -> tuple[LiveMatch, dict[str, Any]]:
    """Returns the match in a file, as far as it was played, and the document.

    Args:
        file: as `save_match` or the web board wrote it.
        game: the rules.

    Raises:
        RecordError: it cannot be read, is no match, of another game, or not by these rules.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise RecordError(f"{file} cannot be read: {error.strerror}") from None
    try:
        if len(data) > _MOST_BYTES:
            raise ValueError("it is too large")
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}")
        if document["version"] > VERSION:
            raise ValueError(f"version {document['version']} is of a newer selfplay")
        moves = [int(move) for move in document["moves"]]
        outcomes = [int(outcome) for outcome in document["outcomes"]]
        if len(outcomes) != len(moves):
            raise ValueError("moves and outcomes differ in length")
        key = document["start"].get("key")
        seed = int(document["start"].get("seed", 0))
        start_key = None if key is None else (int(key[0]), int(key[1]))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise RecordError(
            f"{file} is not a saved match: {problem}",
            hint="selfplay play --save FILE and the web board write such files",
        ) from None
    plies = document.get("plies")
    plies = plies if isinstance(plies, list) and len(plies) == len(moves) else [None] * len(moves)
    document["plies"] = [one if isinstance(one, dict) else None for one in plies]
    if document.get("game") != game.name:
        raise RecordError(
            f"{file} is a match of {document.get('game')}, but the game is {game.name}"
        )
    written = document.get("fingerprint")
    if written is not None and written != fingerprint(game):
        raise RecordError(
            f"{file} was played by other rules of {game.name}",
            hint="the game's options, version or source have changed since",
        )
    match = LiveMatch(game, seed=seed, start_key=start_key)
    try:
        for move, outcome in zip(moves, outcomes, strict=True):
            match.play(move, outcome)
    except IllegalActionError as error:
        raise RecordError(f"{file} does not follow the rules: {error}", hint=error.hint) from error
    return match, document


def describe_thought(player: int, analysis: Analysis) -> dict[str, Any]:
    """Returns what an agent thought at its move, as a match file has it."""

    def shares(policy: np.ndarray | None) -> dict[str, float] | None:
        if policy is None:
            return None
        return {str(action): float(policy[action]) for action in np.flatnonzero(policy).tolist()}

    return {
        "player": player,
        "value": analysis.value,
        "raw_value": analysis.raw_value,
        "simulations": None if analysis.visits is None else int(analysis.visits.sum()),
        "policy": shares(analysis.policy),
        "raw_policy": shares(analysis.raw_policy),
        "exploratory": False,
        "surprise": None,
    }
