"""Finds the position that a request names by its start and moves."""

import collections
import threading
from collections.abc import Mapping
from typing import Any

from selfplay.errors import IllegalActionError
from selfplay.game import ChanceGame, Game
from selfplay.play import LiveMatch, describe_position
from selfplay.serve.errors import RequestError

LINE_KEYS = ("game", "start", "moves", "outcomes")
"""Keys of a request that name a position."""

_CACHED = 128
_CACHED_PLIES = 20_000
"""Limits the memory for remembered matches; each ply holds a position."""
_SEED_LIMIT = 2**31


class Lines:
    """Finds positions of one game by their moves, and remembers recent ones.

    It calls the rules, so use it on one thread at a time.
    """

    def __init__(self, game: Game[Any]) -> None:
        """Takes the rules."""
        self._game = game
        self._lock = threading.Lock()
        self._recent: collections.OrderedDict[tuple[Any, ...], LiveMatch] = (
            collections.OrderedDict()
        )

    def find(self, body: Mapping[str, Any]) -> LiveMatch:
        """Returns the match that a request names, a copy of its own.

        Raises:
            RequestError: a move is not legal, or a key has a wrong value; with the place.
        """
        first, seed, key = _start(body.get("start"))
        moves = self._moves(body.get("moves"))
        outcomes = self._outcomes(body.get("outcomes"), len(moves))
        steps = tuple(zip(moves, outcomes, strict=True))
        with self._lock:
            known = next(
                (
                    count
                    for count in range(len(steps), 0, -1)
                    if (first, steps[:count]) in self._recent
                ),
                0,
            )
            if known:
                match = self._recent[(first, steps[:known])].fork()
            else:
                match = LiveMatch(self._game, seed=seed, start_key=key)
            for ply in range(known, len(steps)):
                self._play(match, ply, *steps[ply])
            if steps:
                self._remember((first, steps), match)
                # As the client names it next time: by action numbers and chance outcomes.
                named = tuple(zip(match.actions, self._drawn(match), strict=True))
                self._remember((first, named), match)
        return match.fork()

    def _remember(self, key: tuple[Any, ...], match: LiveMatch) -> None:
        self._recent[key] = match
        self._recent.move_to_end(key)
        plies = sum(len(one.actions) for one in self._recent.values())
        while len(self._recent) > 1 and (len(self._recent) > _CACHED or plies > _CACHED_PLIES):
            _, oldest = self._recent.popitem(last=False)
            plies -= len(oldest.actions)

    def _drawn(self, match: LiveMatch) -> list[int | None]:
        chance = isinstance(self._game, ChanceGame)
        return [outcome if chance else None for outcome in match.outcomes]

    def _play(self, match: LiveMatch, ply: int, move: int | str, outcome: int | None) -> None:
        place = f"moves[{ply}]"
        try:
            action = match.parse(move) if isinstance(move, str) else move
            match.play(action, outcome)
        except IllegalActionError as error:
            if outcome is not None and "outcome" in str(error):
                place = f"outcomes[{ply}]"
            raise RequestError(str(error), hint=error.hint, place=place) from error

    def _moves(self, moves: Any) -> list[int | str]:
        if moves is None:
            return []
        if isinstance(moves, str):
            moves = moves.split()
        if not isinstance(moves, list):
            raise RequestError("moves must be a list of numbers and texts", place="moves")
        if len(moves) > self._game.max_plies:
            raise RequestError(
                f"moves has {len(moves)} entries, but a match of {self._game.name} ends after "
                f"{self._game.max_plies}",
                place="moves",
            )
        for ply, move in enumerate(moves):
            number = isinstance(move, int) and not isinstance(move, bool)
            if not number and not (isinstance(move, str) and 0 < len(move) <= 80):
                raise RequestError(
                    "a move must be an action number or text as the game writes it",
                    place=f"moves[{ply}]",
                )
            if number and not 0 <= move < self._game.num_actions:
                raise RequestError(
                    f"action {move} is not one of the actions 0 to {self._game.num_actions - 1}",
                    place=f"moves[{ply}]",
                )
        return moves

    def _outcomes(self, outcomes: Any, plies: int) -> list[int | None]:
        if not isinstance(outcomes, list | None):
            raise RequestError("outcomes must be a list of numbers", place="outcomes")
        given = outcomes or []
        if len(given) > plies:
            raise RequestError(
                f"outcomes has {len(given)} entries, but there are {plies} moves",
                place="outcomes",
            )
        for ply, outcome in enumerate(given):
            if isinstance(outcome, bool) or not isinstance(outcome, int | None):
                raise RequestError("an outcome must be a number", place=f"outcomes[{ply}]")
            if outcome is not None and not -1 <= outcome < 2**31:
                raise RequestError(f"outcome {outcome} is out of range", place=f"outcomes[{ply}]")
        if not isinstance(self._game, ChanceGame):
            if any(outcome not in (None, -1) for outcome in given):
                raise RequestError(
                    f"{self._game.name} has no chance in it: no outcome follows a move",
                    place="outcomes",
                )
            given = []
        return given + [None] * (plies - len(given))


def _start(start: Any) -> tuple[tuple[Any, ...], int, tuple[int, int] | None]:
    """Returns a hashable name of a start, its seed, and its key data or None."""
    if start is None:
        return ("seed", 0), 0, None
    if isinstance(start, dict) and len(start) == 1:
        seed, key = start.get("seed"), start.get("key")
        if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < _SEED_LIMIT:
            return ("seed", seed), seed, None
        if (
            isinstance(key, list)
            and len(key) == 2
            and all(isinstance(part, int) and 0 <= part < 2**32 for part in key)
        ):
            return ("key", *key), 0, (key[0], key[1])
    raise RequestError(
        'start must be {"seed": NUMBER} or {"key": [NUMBER, NUMBER]}, a seed below 2 ** 31',
        place="start",
    )


def start_document(match: LiveMatch) -> dict[str, Any]:
    """Returns the value of the key `start` for a match."""
    if match.start_key is not None:
        return {"key": list(match.start_key)}
    return {"seed": match.seed}


def position_document(name: str, match: LiveMatch) -> dict[str, Any]:
    """Returns the document of a position of the game `name` for pages."""
    return describe_position(match, game=name, start=start_document(match))
