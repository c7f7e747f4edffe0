"""The dice game of docs/python-games.md is whole, and plays by its rules."""

import random
import runpy
from pathlib import Path
from typing import Any

import pytest

from selfplay.game import ChanceGame
from selfplay.registry import make

PIG = Path(__file__).parents[2] / "docs" / "examples" / "pig.py"


@pytest.fixture(scope="module")
def pig() -> Any:
    return runpy.run_path(str(PIG))["Pig"]()


def test_it_keeps_its_promises() -> None:
    # Random matches are played when it is made.
    game = make(str(PIG))
    assert isinstance(game, ChanceGame)
    assert (game.name, game.num_actions, game.num_outcomes) == ("pig", 2, 6)


def test_a_turn_goes_on_until_a_one_or_holding(pig: Any) -> None:
    start = pig.initial_state(random.Random(0))
    assert pig.legal_actions(start) == [0]
    rolling = pig.apply(start, 0)
    assert pig.is_chance(rolling)
    six = pig.resolve(rolling, 5)
    assert (pig.current_player(six), pig.legal_actions(six)) == (0, [0, 1])
    held = pig.apply(six, 1)
    assert not pig.is_chance(held)
    assert (held, pig.current_player(held)) == (((6, 0), 0, 1, False), 1)
    lost = pig.resolve(pig.apply(six, 0), 0)
    assert lost == ((0, 0), 0, 1, False)


@pytest.mark.parametrize(("points", "result"), [((20, 3), (1, -1)), ((0, 21), (-1, 1))])
def test_twenty_points_win(points: tuple[int, int], result: tuple[int, int], pig: Any) -> None:
    state = (points, 0, 0, False)
    assert pig.is_terminal(state)
    assert pig.returns(state) == result
