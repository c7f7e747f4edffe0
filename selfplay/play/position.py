"""A position of a match as a document that a page can draw and play on."""

from collections.abc import Collection, Mapping
from typing import Any

from selfplay.arena.live import LiveMatch
from selfplay.game import BoardView


def describe_position(
    match: LiveMatch, *, game: str | None = None, start: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns the position that a match has come to, as the JSON of `docs/web-protocol.md`.

    Keys: `game`, `start`, `moves`, `outcomes`, `ply`, `player` (to move; None once it is over),
    `over`, `truncated`, `returns` (for player 0 and player 1, in [-1, 1]; None until it is over),
    `legal` (`action`, `name` and `clicks` of each), `forced` (whether there is just one), `again`
    (whether who moved last is to move again), `last` (the last move, None at the start), `view`
    (of the board; None if the game has none) and `text` (the board for a terminal).

    Args:
        match: at the position.
        game: what the client calls the game; by default its name.
        start: what the match began with, as the client knows it; by default seed 0.
    """
    over = match.over
    state = match.position.state
    view = match.game.board(state)
    legal = match.legal
    players = match.players()
    clicks: dict[int, list[list[int]]] = {action: [] for action in legal}
    if view is not None:
        for path, action in view.clicks.items():
            if action in clicks and path:
                clicks[int(action)].append([int(cell) for cell in path])
    return {
        "game": match.game.name if game is None else game,
        "start": {"seed": 0} if start is None else dict(start),
        "moves": list(match.actions),
        "outcomes": list(match.outcomes),
        "ply": len(match.actions),
        "player": None if over else match.player,
        "over": over,
        "truncated": match.truncated,
        "returns": list(match.returns) if over else None,
        "legal": [
            {"action": action, "name": match.name(action), "clicks": clicks[action]}
            for action in legal
        ],
        "forced": len(legal) == 1,
        "again": bool(match.actions) and not over and players[-1] == players[-2],
        "last": _last_move(match, view),
        "view": None if view is None else view_document(view),
        "text": match.game.render(state),
    }


def view_document(view: BoardView) -> dict[str, Any]:
    """Returns a board as JSON; the clicks belong to the actions of the position document."""
    return {
        "kind": view.kind,
        "rows": int(view.rows),
        "columns": int(view.columns),
        "cells": list(view.cells),
        "players": list(view.players),
        "hands": [list(hand) for hand in view.hands],
        "dice": [int(die) for die in view.dice],
        "counters": {name: list(numbers) for name, numbers in view.counters.items()},
        "owners": [None if owner is None else int(owner) for owner in view.owners],
        "shaded": _numbers(view.shaded),
        "highlights": _numbers(view.highlights),
        "lines": [[int(one), int(other)] for one, other in view.lines],
        "goals": {side: int(player) for side, player in view.goals.items()},
        "row_labels": list(view.row_labels),
        "column_labels": list(view.column_labels),
        "note": view.note,
    }


def _numbers(cells: Collection[int]) -> list[int]:
    return sorted(int(cell) for cell in cells)


def _last_move(match: LiveMatch, now: BoardView | None) -> dict[str, Any] | None:
    """Returns who moved last and where on the board it can be seen."""
    if not match.actions:
        return None
    ply, action = len(match.actions) - 1, match.actions[-1]
    state = match.position_at(ply).state
    outcome = match.outcomes[-1]
    return {
        "action": action,
        "name": match.game.action_to_string(state, action),
        "player": match.players()[-2],
        "cells": [] if now is None else _moved_cells(match.game.board(state), now, action),
        "outcome": None if outcome < 0 else outcome,
        "outcome_name": match.outcome_name(ply),
    }


def _moved_cells(before: BoardView | None, now: BoardView, action: int) -> list[int]:
    """Returns the cells of the board on which a move was made: those clicked that changed.

    A move that could be clicked in several ways, such as a column, shows where it changed the
    board; one that changed none of its cells shows all of one way.
    """
    if before is None or len(before.cells) != len(now.cells):
        return []
    paths = [path for path, meaning in before.clicks.items() if meaning == action]
    cells = sorted({cell for path in paths for cell in path if cell < len(before.cells)})
    changed = [
        cell
        for cell in cells
        if before.cells[cell] != now.cells[cell] or _owner(before, cell) != _owner(now, cell)
    ]
    if changed or not paths:
        return changed
    return sorted({cell for cell in min(paths, key=len) if cell < len(before.cells)})


def _owner(view: BoardView, cell: int) -> int | None:
    return view.owners[cell] if view.owners else None
