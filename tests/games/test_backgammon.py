"""Backgammon: rules by hand, and whole turns against two independent move generators."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.game import legal_actions
from selfplay.games.backgammon import Backgammon, BackgammonState
from tests.games.backgammon_turns import (
    Board,
    board_of,
    dice_of,
    played_states,
    scattered_states,
    turn_results,
)

GAME = Backgammon()
PASS = 50


def state(
    own: dict[int, int],
    other: dict[int, int],
    dice: tuple[int, ...] = (),
    *,
    bar: tuple[int, int] = (0, 0),
    player: int = 0,
) -> BackgammonState:
    """Returns a position; both players' checkers by their own count of the points."""
    points = np.zeros(24, np.int8)
    for point, count in own.items():
        points[point - 1] += count
    for point, count in other.items():
        points[24 - point] -= count
    first = BackgammonState(
        points=jnp.asarray(points),
        bar=jnp.array(bar, jnp.int8),
        dice=jnp.zeros(2, jnp.int8),
        repeats=jnp.int8(0),
        player=jnp.int8(player),
    )
    return roll(first, *dice) if dice else first


def roll(position: BackgammonState, one: int, two: int) -> BackgammonState:
    outcome = GAME.string_to_outcome(position, f"{max(one, two)}-{min(one, two)}")
    return GAME.resolve(position, jnp.int32(outcome))


def moves(position: BackgammonState) -> set[str]:
    return {GAME.action_to_string(position, action) for action in legal_actions(GAME, position)}


def play(position: BackgammonState, *names: str) -> BackgammonState:
    for name in names:
        position = GAME.step(position, jnp.int32(GAME.string_to_action(position, name)))
    return position


def test_the_start() -> None:
    starts = jax.vmap(GAME.init)(jax.random.split(jax.random.key(0), 600))
    points = np.asarray(starts.points)
    assert (points == points[0]).all() and points[0].sum() == 0
    assert {i + 1: int(n) for i, n in enumerate(points[0]) if n > 0} == {6: 5, 8: 3, 13: 5, 24: 2}
    np.testing.assert_array_equal(points[0], -points[0][::-1])
    dice = np.asarray(starts.dice)
    # The larger die decides who begins: never doubles, either player.
    assert (dice[:, 0] > dice[:, 1]).all() and (dice[:, 1] >= 1).all()
    assert len(np.unique(dice, axis=0)) == 15
    assert 240 < np.asarray(starts.player).sum() < 360


def test_a_turn_is_two_moves_and_four_of_doubles() -> None:
    position = state({24: 2, 13: 2}, {24: 2}, (6, 1))
    assert {"24/18", "24/23", "13/7", "13/12"} == moves(position)
    one = play(position, "24/18")
    assert int(one.player) == 0 and not GAME.is_chance(one) and one.dice.tolist() == [0, 1]
    two = play(one, "18/17")
    assert int(two.player) == 1 and bool(GAME.is_chance(two))
    doubles = state({24: 2, 13: 2}, {24: 2}, (2, 2))
    for number in range(4):
        assert not GAME.is_chance(doubles) and int(doubles.repeats) == 4 - number
        doubles = play(doubles, f"{24 - 2 * number}/{22 - 2 * number}")
    assert bool(GAME.is_chance(doubles)) and int(doubles.player) == 1


def test_a_hit_checker_waits_on_the_bar() -> None:
    # The second player's 20 point is the first one's 5 point.
    hit = play(state({6: 2, 8: 1}, {20: 1, 6: 2}, (3, 1)), "8/5")
    assert hit.bar.tolist() == [0, 1] and int(hit.points[4]) == 1
    there = roll(play(hit, "6/5"), 4, 2)
    # From the bar first, to 25 less the die.
    assert moves(there) == {"bar/21", "bar/23"}
    entered = play(there, "bar/23")
    assert entered.bar.tolist() == [0, 0] and int(entered.player) == 1
    # Where both points of entry are made, the turn is lost.
    closed = state({21: 2, 4: 2}, {6: 1}, (4, 4), bar=(0, 1), player=1)
    assert moves(closed) == {"pass"} and legal_actions(GAME, closed) == [PASS]
    passed = play(closed, "pass")
    assert int(passed.player) == 0 and bool(GAME.is_chance(passed))
    np.testing.assert_array_equal(passed.points, closed.points)


def test_both_dice_if_possible_else_the_larger() -> None:
    # 6 from 10 is blocked at once; only 10/9 first lets the 6 be played after it.
    order = state({10: 1}, {21: 2, 1: 1}, (6, 1))
    assert moves(order) == {"10/9"}
    # Either die alone, not both: the larger must be played.
    assert moves(state({13: 1}, {23: 2, 1: 1}, (6, 5))) == {"13/7"}
    # The larger cannot be played at all: the smaller.
    assert moves(state({13: 1}, {18: 2, 23: 2, 1: 1}, (6, 5))) == {"13/8"}


def test_bearing_off() -> None:
    home = state({6: 1, 3: 2}, {1: 1}, (5, 3))
    # The 5 does not bear off from 3 while a checker stands behind; after 6/3 it does.
    assert moves(home) == {"6/1", "6/3", "3/off:3"}
    assert moves(play(home, "6/3")) == {"3/off:5"}
    outside = state({7: 1, 3: 2}, {1: 1}, (3, 2))
    assert "3/off:3" not in moves(outside)


@pytest.mark.parametrize(
    ("other", "bar", "stake"),
    [
        ({6: 14}, 0, 1 / 3),
        ({6: 15}, 0, 2 / 3),
        ({6: 14, 20: 1}, 0, 1.0),
        ({6: 14, 19: 1}, 0, 1.0),
        ({6: 14, 18: 1}, 0, 2 / 3),
        ({6: 14}, 1, 1.0),
        ({20: 1}, 0, 1 / 3),
    ],
)
def test_the_stake_is_a_win_a_gammon_or_a_backgammon(
    other: dict[int, int], bar: int, stake: float
) -> None:
    for player in (0, 1):
        sides = ({1: 1}, other) if player == 0 else (other, {1: 1})
        bars = (0, bar) if player == 0 else (bar, 0)
        position = state(*sides, (2, 1), bar=bars, player=player)
        over = play(position, "1/off:2")
        sign = 1 if player == 0 else -1
        assert bool(GAME.is_terminal(over))
        assert GAME.returns(over).tolist() == pytest.approx([sign * stake, -sign * stake])
        assert Backgammon(gammons=False).returns(over).tolist() == [sign, -sign]
        assert GAME.returns(position).tolist() == [0, 0]


def test_probabilities_are_those_of_two_dice() -> None:
    probabilities = np.asarray(GAME.chance_probabilities(state({1: 1}, {1: 1})))
    names = [GAME.outcome_to_string(state({1: 1}, {1: 1}), index) for index in range(21)]
    assert len(set(names)) == 21 and probabilities.sum() == pytest.approx(1)
    for name, probability in zip(names, probabilities, strict=True):
        assert probability == pytest.approx((1 if name[0] == name[2] else 2) / 36)


def test_the_observation_is_the_movers_view() -> None:
    position = state({24: 1, 6: 5, 2: 3}, {20: 1, 6: 2}, (4, 4), bar=(0, 2))
    mirrored = state({20: 1, 6: 2}, {24: 1, 6: 5, 2: 3}, (4, 4), bar=(2, 0), player=1)
    seen = np.asarray(GAME.observe(position))
    np.testing.assert_array_equal(seen, GAME.observe(mirrored))
    # Own 24, 6 and 2 points; theirs are my 5 and 19 points.
    assert np.flatnonzero(seen[:24]).tolist() == [1, 5, 23]
    assert np.flatnonzero(seen[24:48]).tolist() == [4, 18]
    assert seen[192:196].tolist() == pytest.approx([0, 1, 1 - 9 / 15, 1 - 5 / 15])
    assert seen[196 + 3] == 1 and seen[208] == 1


def test_text_and_board() -> None:
    position = state({24: 2, 6: 1}, {24: 1, 6: 12}, (6, 5), bar=(1, 0))
    text = GAME.render(position)
    assert "x to move, dice 6 5" in text
    board = GAME.board(position)
    # The bar below, then the 20 point at the top right (the 19 point is theirs).
    assert board.cells[14 + 6] == "x1" and board.cells[12] == "x2"
    # From the bar to the 20 point, or first the second die; dice come after the 28 places.
    assert board.dice == [6, 5]
    assert board.clicks == {(14 + 6, 8): 25 + 24, (29, 14 + 6): 25 + 24}
    assert GAME.board(state({4: 2}, {6: 1}, (4, 4), bar=(0, 1), player=1)).clicks == {(): PASS}
    # Either die bears a checker off: a click on the die says which.
    last = GAME.board(state({1: 2}, {1: 1}, (2, 1)))
    assert len(last.cells) == 28 and set(last.clicks.values()) == {0, 25}
    assert last.clicks[(28, 26)] == 0 and last.clicks[(29, 26)] == 25


def _compare(states: Any) -> int:
    """Compares whole turns with both generators; returns how many boards they lead to."""
    sage = pytest.importorskip("bgsage.board")
    gnubg = pytest.importorskip("gnubg_nn")
    found = turn_results(GAME, states)
    points, bar, player = (np.asarray(getattr(states, n)) for n in ("points", "bar", "player"))
    for row, (mine, dice) in enumerate(zip(found, dice_of(states), strict=True)):
        board = board_of(points[row], bar[row], int(player[row]))
        assert mine == _of_gnubg(gnubg, board, dice), (board, dice)
        theirs = _of_sage(sage, board, dice)
        # Where the last checker can be borne off by one die, or moved by the one and borne off by
        # the other, bgsage has the choice; the rule that both dice are played, and GNU, have not.
        assert mine <= theirs, (board, dice)
        assert all(max(after[1:]) <= 0 for after in theirs - mine), (board, dice)
    return sum(map(len, found))


def _of_sage(sage: Any, board: Board, dice: tuple[int, int]) -> set[Board]:
    # It counts the opponent's bar upwards.
    found = sage.possible_moves([-board[0], *board[1:]], *dice)
    return {(-after[0], *after[1:]) for after in found} or {board}


def _of_gnubg(gnubg: Any, board: Board, dice: tuple[int, int]) -> set[Board]:
    own = [max(count, 0) for count in board[1:]]
    other = [max(-count, 0) for count in board[24:0:-1]] + [-board[0]]
    found = set()
    for key in gnubg.moves((other, own), *dice):
        theirs, mine = gnubg.board_from_position_key(key)
        points = [mine[index] - theirs[23 - index] for index in range(24)]
        found.add((-theirs[24], *points, mine[24]))
    return found or {board}


def test_turns_agree_with_two_generators() -> None:
    assert _compare(played_states(GAME, 300, seed=1)) > 3000
    assert _compare(scattered_states(GAME, 300, seed=1)) > 1000


@pytest.mark.slow
def test_ten_thousand_turns_agree_with_two_generators() -> None:
    for seed in range(5):
        assert _compare(played_states(GAME, 1300, seed=10 + seed)) > 13_000
        assert _compare(scattered_states(GAME, 1000, seed=10 + seed)) > 3000
