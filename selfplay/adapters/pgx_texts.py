"""How moves of pgx's chess and Go are written, as people and engines write them."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_FILES = "abcdefgh"
# As written on boards: no I.
_COLUMNS = "ABCDEFGHJKLMNOPQRST"
_UNDERPROMOTIONS = "rbn"
_PAWN = 1

Write = Callable[[Mapping[str, Any], int], str]
"""Returns how an action is written, from the fields of a pgx state."""


def writer(identity: str, env: Any) -> Write | None:
    """Returns how moves of a pgx game are written, None if as numbers."""
    if identity == "chess":
        tables = importlib.import_module("pgx._src.games.chess")
        return _chess(8, np.asarray(tables.FROM_PLANE), _chess_side)
    if identity == "gardner_chess":
        tables = importlib.import_module("pgx._src.gardner_chess_utils")
        return _chess(5, np.asarray(tables.TO_MAP), _gardner_side)
    if identity.startswith("go"):
        return _go(int(env._game.size))
    return None


def _chess(
    size: int,
    destinations: np.ndarray,
    side: Callable[[Mapping[str, Any]], tuple[np.ndarray, bool]],
) -> Write:
    """Returns the writer of UCI's long notation: "e2e4", "e1g1" to castle, "a7a8q".

    pgx numbers squares file by file, from the mover's own side of the board, and actions by the
    square left and one of some directions and distances, of which the first nine underpromote.
    """
    directions = destinations.shape[1]

    def write(fields: Mapping[str, Any], action: int) -> str:
        origin, direction = divmod(action, directions)
        target = int(destinations[origin, direction])
        if target < 0:
            return str(action)
        board, black = side(fields)
        squares = []
        for square in (origin, target):
            file, rank = divmod(square, size)
            squares.append(f"{_FILES[file]}{size - rank if black else rank + 1}")
        piece = ""
        if direction < 9:
            piece = _UNDERPROMOTIONS[direction // 3]
        elif int(board[origin]) == _PAWN and target % size == size - 1:
            piece = "q"
        return "".join([*squares, piece])

    return write


def _chess_side(fields: Mapping[str, Any]) -> tuple[np.ndarray, bool]:
    position = fields["_x"]
    return np.asarray(position.board), int(position.color) == 1


def _gardner_side(fields: Mapping[str, Any]) -> tuple[np.ndarray, bool]:
    return np.asarray(fields["_board"]), int(fields["_turn"]) == 1


def _go(size: int) -> Write:
    def write(fields: Mapping[str, Any], action: int) -> str:
        del fields
        if action == size * size:
            return "pass"
        return f"{_COLUMNS[action % size]}{size - action // size}"

    return write
