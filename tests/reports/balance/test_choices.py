"""What could have been chosen, from the rules."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from selfplay import make
from selfplay.game import Game
from selfplay.replay.rebuild import Rebuilder
from selfplay.reports.balance.choices import Move, count_choices, mirrorings, move_names
from tests.dice import Storm
from tests.reports.balance.examples import begun_randomly, game, random_matches


@pytest.fixture(scope="module")
def tic_tac_toe() -> Game[Any]:
    return game("tic_tac_toe")


def test_legal_actions_are_those_of_the_rules(tic_tac_toe: Game[Any]) -> None:
    matches = random_matches(tic_tac_toe, 70)
    found = count_choices(Rebuilder(tic_tac_toe), matches)
    # Every ply takes one cell.
    wanted = [np.mean([9 - ply for ply in range(match.plies)]) for match in matches]
    np.testing.assert_allclose(found.branching, wanted)
    assert found.widest == 9
    assert found.positions == sum(match.plies for match in matches)
    assert found.forced == pytest.approx(
        sum(match.plies == 9 for match in matches) / found.positions
    )
    played = np.bincount(np.concatenate([match.actions for match in matches]), minlength=9)
    np.testing.assert_array_equal(found.chosen, played)
    # Random play chooses as random play does.
    np.testing.assert_allclose(found.expected.sum(), played.sum())
    assert not found.never_chosen.any()
    assert not found.hardly_chosen.any()


def test_an_action_that_is_never_chosen_is_found_and_named(tic_tac_toe: Game[Any]) -> None:
    # Nobody ever plays the centre, though it is always free.
    matches = [match for match in random_matches(tic_tac_toe, 400) if 4 not in match.actions]
    rebuild = Rebuilder(tic_tac_toe)
    choices = count_choices(rebuild, matches * 5)
    assert choices.never_chosen.tolist() == [action == 4 for action in range(9)]
    assert choices.least_chosen(5) == [4]
    assert move_names(rebuild, [choices.examples[4]]) == ["b2"]


def test_moves_drawn_at_random_are_not_choices(tic_tac_toe: Game[Any]) -> None:
    match = begun_randomly(random_matches(tic_tac_toe, 70)[3], 2)
    found = count_choices(Rebuilder(tic_tac_toe), [match])
    assert found.positions == match.plies - 2
    assert found.chosen[match.actions[0]] == 0


def test_moves_are_named_where_they_were_played(tic_tac_toe: Game[Any]) -> None:
    matches = random_matches(tic_tac_toe, 70)[:2]
    moves = [Move(match, ply, int(match.actions[ply])) for match in matches for ply in (0, 1)]
    cells = [f"{'abc'[move.action % 3]}{3 - move.action // 3}" for move in moves]
    assert move_names(Rebuilder(tic_tac_toe), moves) == cells


def test_mirror_images_are_those_of_the_first_position() -> None:
    assert mirrorings(make("connect_four")) == {"mirror": (6, 5, 4, 3, 2, 1, 0)}
    assert len(mirrorings(make("tic_tac_toe"))) == 7
    # The players change sides in it, so the first position is another one.
    assert mirrorings(make("docs/examples/domineering.py:Domineering")) == {}
    assert mirrorings(Storm()) == {}


def test_dice_are_replayed() -> None:
    storm = Storm()
    matches = random_matches(storm, 20)
    found = count_choices(Rebuilder(storm), matches)
    assert found.positions == sum(match.plies for match in matches)
    assert dataclasses.asdict(found)["widest"] <= 3
