"""Where the first position differs by a rotation, the twin is rotated too."""

from typing import Any

import pytest

from selfplay.check.conformance import examine
from selfplay.game import Game
from tests.check.play.corners import (
    Corners,
    EndsForOne,
    PlayerZeroFirst,
    ResultOfTheMover,
    WrongSymmetry,
)

SEEDS = (0, 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sound_game_whose_players_begin_in_opposite_corners_is_proven(seed: int) -> None:
    report = examine(Corners(), matches=32, seed=seed, measures=False)
    assert report.ok, [fault.to_text() for fault in report.faults]
    twin = report.measures["twin"]
    assert (twin["alike"], twin["unproven"]) == (32, [])
    assert twin["exchange"].startswith("state.player changed, then '")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_sign_is_proven_on_a_rotated_board(seed: int) -> None:
    (fault,) = examine(ResultOfTheMover(), matches=32, seed=seed, measures=False).faults
    assert fault.rule == "value-sign"
    assert "(state.player changed, then '" in fault.message
    assert fault.moves


@pytest.mark.parametrize(
    ("game", "rules"),
    [
        (PlayerZeroFirst(), ["observation-side"]),
        (EndsForOne(), ["seats"]),
        (WrongSymmetry(), ["symmetry"]),
    ],
    ids=["side", "end", "symmetry"],
)
def test_other_mistakes_are_named_on_a_rotated_board(game: Game[Any], rules: list[str]) -> None:
    report = examine(game, matches=32, measures=False)
    assert [fault.rule for fault in report.faults] == rules
