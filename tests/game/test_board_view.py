"""What a graphical board is told of a position, and what is found wrong with it."""

import dataclasses
from typing import Any

import pytest

from selfplay.game import BoardView, board_faults

PLAIN = BoardView(kind="square", rows=1, columns=3, cells=["x", "", "o"], clicks={(1,): 4, (): 9})


def test_what_user_games_wrote_before_still_suffices() -> None:
    assert list(board_faults(PLAIN, [4, 9])) == []
    assert PLAIN.num_cells == 3 and PLAIN.players == ("x", "o")


def test_hands_and_dice_are_cells_too() -> None:
    view = dataclasses.replace(
        PLAIN, hands=[["x", "x"], ["o"]], dice=[6, 1], clicks={(3, 1): 0, (5, 1): 1, (7, 0): 2}
    )
    assert view.num_cells == 8
    assert list(board_faults(view, [0, 1, 2])) == []
    beyond = dataclasses.replace(view, clicks={(8, 0): 0})
    assert list(board_faults(beyond, [0])) == ["a click names cell 8 of 8"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"kind": "round"}, "kind is 'round', but must be one of square, hex, lines, edges, "),
        ({"cells": ["x"]}, "board has 1 cells, but 1 x 3"),
        ({"clicks": {(1,): 4, (3,): 9}}, "a click names cell 3 of 3"),
        ({"clicks": {(1,): 4}}, "legal action 9 has no click"),
        ({"clicks": {(1,): 4, (): 9, (0,): 5}}, "a click stands for action 5, which is illegal"),
        ({"clicks": {(1,): 4, (1, 2): 9}}, "clicks (1, 2) cannot be made: (1,) is a move already"),
        ({"hands": [["x"]]}, "hands are of 1 players, but must be none or those of 2"),
        ({"players": ["x"]}, "players has 1 names, but must have 2"),
        ({"owners": [0]}, "owners has 1 entries, but must have none or 3"),
        ({"owners": [0, 2, None]}, "owners names player 2, but players are 0 and 1"),
        ({"row_labels": "ab"}, "row_labels has 2 entries, but must have none or 1"),
        ({"column_labels": "ab"}, "column_labels has 2 entries, but must have none, 3 or 6"),
        ({"counters": {"score": [1]}}, "counter 'score' has 1 entries, but must have 2"),
        ({"shaded": [3]}, "shaded names cell 3 of 3"),
        ({"highlights": [-1]}, "highlights names cell -1 of 3"),
        ({"lines": [(0, 7)]}, "lines names cell 7 of 3"),
        ({"goals": {"top": 5}}, "goals names player 5, but players are 0 and 1"),
        ({"goals": {"front": 0}}, "goals names 'front', but sides are top, bottom, left, right"),
    ],
)
def test_every_fault_is_named(changes: dict[str, Any], fault: str) -> None:
    # Around the check of types at run time: that is for tests, users' games go without it.
    view = object.__new__(BoardView)
    fields = {field.name: getattr(PLAIN, field.name) for field in dataclasses.fields(PLAIN)}
    for name, value in (fields | changes).items():
        object.__setattr__(view, name, value)
    faults = list(board_faults(view, [4, 9]))
    assert faults and faults[0].startswith(fault), faults


def test_clicks_are_not_asked_about_at_the_end() -> None:
    assert list(board_faults(PLAIN, None)) == []
