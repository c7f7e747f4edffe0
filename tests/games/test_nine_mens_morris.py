"""Nine men's morris against OpenSpiel and positions by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel
import pytest

from selfplay.errors import ConfigError, IllegalActionError
from selfplay.games.nine_mens_morris import NineMensMorris, NineMensMorrisState
from tests.games.matches import play_randomly

# OpenSpiel numbers the points row by row from the top left.
ROW_BY_ROW = [
    *("a7", "d7", "g7"), *("b6", "d6", "f6"), *("c5", "d5", "e5"),
    *("a4", "b4", "c4"), *("e4", "f4", "g4"),
    *("c3", "d3", "e3"), *("b2", "d2", "f2"), *("a1", "d1", "g1"),
]  # fmt: skip
# Here they go round each square, the outer one first.
NAMES = [
    *("a7", "d7", "g7", "g4", "g1", "d1", "a1", "a4"),
    *("b6", "d6", "f6", "f4", "f2", "d2", "b2", "b4"),
    *("c5", "d5", "e5", "e4", "e3", "d3", "c3", "c4"),
]
TO_SPIEL = [ROW_BY_ROW.index(name) for name in NAMES]
FREE, REMOVE = -1, 24


@pytest.fixture(scope="module")
def game() -> NineMensMorris:
    return NineMensMorris()


def position(
    white: str, black: str, *, player: int = 0, placed: int = 18, quiet: int = 0
) -> NineMensMorrisState:
    words = [sum(1 << NAMES.index(name) for name in text.split()) for text in (white, black)]
    return NineMensMorrisState(
        stones=jnp.array(words, jnp.uint32),
        placed=jnp.uint8(placed),
        task=jnp.int8(FREE),
        quiet=jnp.uint8(quiet),
        player=jnp.int8(player),
    )


def play(game: NineMensMorris, state: NineMensMorrisState, text: str) -> NineMensMorrisState:
    for name in text.split():
        state = game.step(state, jnp.int32(game.string_to_action(state, name)))
    return state


def legal(game: NineMensMorris, state: NineMensMorrisState) -> set[str]:
    return {NAMES[point] for point in np.flatnonzero(game.legal_action_mask(state))}


def test_random_matches_agree_with_open_spiel() -> None:
    # OpenSpiel draws after 200 turns, we after quiet moves: both are looked at before that.
    game = NineMensMorris(quiet_limit=255)
    spiel = pyspiel.load_game("nine_mens_morris")
    num_matches = 64
    theirs = [spiel.new_initial_state() for _ in range(num_matches)]
    turns = np.zeros(num_matches, int)
    lifted = [FREE] * num_matches
    ended, removals, flights = 0, 0, 0
    open_ = set(range(num_matches))
    for ply in play_randomly(game, num_matches):
        tasks = np.asarray(ply.states.task)
        for index in sorted(open_):
            state = theirs[index]
            if turns[index] >= 199:
                open_.remove(index)
                continue
            assert bool(ply.over[index]) == state.is_terminal()
            if state.is_terminal():
                np.testing.assert_array_equal(ply.returns[index], state.returns())
                ended += 1
                open_.remove(index)
                continue
            assert ply.player[index] == state.current_player()
            mine = {TO_SPIEL[point] for point in np.flatnonzero(ply.mask[index])}
            action = TO_SPIEL[ply.actions[index]]
            moves = [divmod(move - 24, 24) for move in state.legal_actions() if move >= 24]
            if tasks[index] not in (FREE, REMOVE):
                origin = lifted[index]
                assert mine == {target for start, target in moves if start == origin}
                flights += len(moves) > 30
                state.apply_action(24 + 24 * origin + action)
            elif moves:
                assert mine == {start for start, _ in moves}
                lifted[index] = action
                continue
            else:
                assert mine == set(state.legal_actions())
                removals += tasks[index] == REMOVE
                state.apply_action(action)
            turns[index] += state.is_terminal() or state.current_player() != ply.player[index]
        if not open_:
            break
    assert ended > 30 and removals > 300 and flights > 100


def test_a_mill_removes_a_stone_by_the_same_player(game: NineMensMorris) -> None:
    state = play(game, game.init(jax.random.key(0)), "a7 b6 d7 b4 g7")
    assert int(state.player) == 0 and int(state.task) == REMOVE
    assert legal(game, state) == {"b6", "b4"}
    state = play(game, state, "b4")
    assert int(state.player) == 1 and int(state.placed) == 5
    assert state.stones.tolist() == [0b111, 1 << NAMES.index("b6")]


def test_stones_in_mills_are_safe_unless_there_are_no_others(game: NineMensMorris) -> None:
    white = "a7 d7 g4 c5"
    state = play(game, position(white, "b6 d6 f6 c3"), "g4 g7")
    assert legal(game, state) == {"c3"}
    state = play(game, position(white, "b6 d6 f6"), "g4 g7")
    assert legal(game, state) == {"b6", "d6", "f6"}


@pytest.mark.parametrize(
    "mill",
    ["a7 d7 g7", "g7 g4 g1", "a1 d1 g1", "a1 a4 a7", "b6 d6 f6", "f6 f4 f2", "b2 d2 f2",
     "b2 b4 b6", "c5 d5 e5", "e5 e4 e3", "c3 d3 e3", "c3 c4 c5", "d7 d6 d5", "g4 f4 e4",
     "d1 d2 d3", "a4 b4 c4"],
)  # fmt: skip
def test_all_sixteen_mills(game: NineMensMorris, mill: str) -> None:
    *two, third = mill.split()
    rest = [name for name in NAMES if name not in mill.split()][:2]
    start = position(" ".join(two), " ".join(rest), placed=4)
    closed = game.step(start, jnp.int32(NAMES.index(third)))
    assert int(closed.task) == REMOVE


def test_two_middles_and_a_corner_are_no_mill(game: NineMensMorris) -> None:
    # Rows round a corner, and over the gap in the middle.
    for two, third in (("d7 g7", "g4"), ("d5 d3", "d2"), ("d6 d5", "d3"), ("a1 a4", "d1")):
        start = position(two, "b2 f2", placed=4)
        assert int(game.step(start, jnp.int32(NAMES.index(third))).task) == FREE


def test_stones_move_along_lines_and_fly_when_three_are_left(game: NineMensMorris) -> None:
    state = position("a7 d7 d6 c3", "g7 b4 f2 e3")
    assert legal(game, state) == {"a7", "d6", "c3"}
    lifted = play(game, state, "d6")
    assert int(lifted.player) == 0
    assert legal(game, lifted) == {"b6", "f6", "d5"}
    three = position("a7 d7 d6", "g7 b4 f2 e3")
    lifted = play(game, three, "a7")
    assert legal(game, lifted) == set(NAMES) - {"a7", "d7", "d6", "g7", "b4", "f2", "e3"}
    walking = NineMensMorris(flying=False)
    assert legal(walking, play(walking, three, "a7")) == {"a4"}


def test_two_stones_lose(game: NineMensMorris) -> None:
    before = play(game, position("a7 d7 g4 c5", "b6 d6 e3"), "g4 g7")
    assert not bool(game.is_terminal(before))
    state = play(game, before, "b6")
    assert bool(game.is_terminal(state))
    np.testing.assert_array_equal(game.returns(state), [1, -1])
    assert game.render(state).endswith("x wins")
    assert game.board(state).clicks == {}


def test_no_move_loses(game: NineMensMorris) -> None:
    # Four stones in the corners of the outer square, the middles of its sides taken.
    state = play(game, position("a7 g7 g1 a1", "d7 g4 d1 b4", player=1), "b4 a4")
    assert bool(game.is_terminal(state))
    np.testing.assert_array_equal(game.returns(state), [-1, 1])


def test_quiet_moves_draw(game: NineMensMorris) -> None:
    stones = ("a7 d7 g4 c5", "b6 d6 e3 c3")
    last = play(game, position(*stones, quiet=49), "c5")
    assert not bool(game.is_terminal(last))
    drawn = play(game, last, "c4")
    assert bool(game.is_terminal(drawn))
    np.testing.assert_array_equal(game.returns(drawn), [0, 0])
    # A mill on the last move still removes a stone, and the count begins anew.
    mill = play(game, position(*stones, quiet=49), "g4 g7")
    assert not bool(game.is_terminal(mill))
    assert int(play(game, mill, "c3").quiet) == 0


def test_observation_is_the_movers(game: NineMensMorris) -> None:
    state = position("a7 d7 g4 c5", "b6 d6 e3 c3", player=1, quiet=10)
    planes = np.moveaxis(np.asarray(game.observe(play(game, state, "e3"))), -1, 0)
    points = [{NAMES[point] for point in np.flatnonzero(plane)} for plane in planes[:3]]
    assert points == [{"b6", "d6", "c3"}, {"a7", "d7", "g4", "c5"}, {"e3"}]
    np.testing.assert_allclose(planes[3:, 0, 0], [0, 1, 0, 0, 0, 0.2], rtol=1e-6)
    assert (planes[3:] == planes[3:, :1, :1]).all()
    planes = np.moveaxis(np.asarray(game.observe(position("a7", "", player=1, placed=1))), -1, 0)
    np.testing.assert_allclose(planes[3:, 2, 7], [1, 0, 0, 1, 8 / 9, 0], rtol=1e-6)
    closed = play(game, game.init(jax.random.key(0)), "a7 b6 d7 b4 g7")
    for state, hands in ((closed, [6 / 9, 7 / 9]), (play(game, closed, "b4"), [7 / 9, 6 / 9])):
        planes = np.asarray(game.observe(state))
        np.testing.assert_allclose(planes[0, 0, 6:8], hands, rtol=1e-6)


def test_sixteen_symmetries_map_points_as_the_board_does(game: NineMensMorris) -> None:
    symmetries = game.symmetries()
    assert len({symmetry.permutation for symmetry in symmetries}) == 15
    lines = {
        frozenset((here, there))
        for here in range(24)
        for there in np.flatnonzero(game.legal_action_mask(play(game, dataclasses.replace(
            position(NAMES[here], ""), stones=jnp.array([1 << here, 0], jnp.uint32)
        ), NAMES[here])))
    }  # fmt: skip
    assert len(lines) == 32
    for symmetry in symmetries:
        image = symmetry.permutation
        assert {frozenset(image[point] for point in line) for line in lines} == lines
    names = [symmetry.name for symmetry in symmetries]
    turned = symmetries[names.index("rotate 90")].permutation
    assert [NAMES[turned[NAMES.index(name)]] for name in ("a7", "d7", "c4")] == ["g7", "g4", "d5"]
    swapped = symmetries[names.index("inside out")].permutation
    assert [NAMES[swapped[NAMES.index(name)]] for name in ("a7", "d6", "e4")] == ["c5", "d6", "g4"]


def test_text_and_board(game: NineMensMorris) -> None:
    state = play(game, position("a7 d7 g4 c5", "b6 d6 e3 c3"), "C5")
    assert game.render(state) == "\n".join(
        [
            "7 x-----x-----.",
            "  |     |     |",
            "6 | o---o---. |",
            "  | |   |   | |",
            "5 | | *-.-. | |",
            "  | | |   | | |",
            "4 .-.-.   .-.-x",
            "  | | |   | | |",
            "3 | | o-.-o | |",
            "  | |   |   | |",
            "2 | .---.---. |",
            "  |     |     |",
            "1 .-----.-----.",
            "  a b c d e f g",
            "x to put down the stone from c5",
        ]
    )
    board = game.board(state)
    assert (board.kind, board.rows, board.columns) == ("lines", 7, 7)
    assert board.cells[:7] == ["white", "void", "void", "white", "void", "void", ""]
    assert len(board.lines) == 32 and (0, 3) in board.lines
    assert board.cells[16] == "lifted" and board.cells[24] == "void"
    assert board.clicks == {(17,): NAMES.index("d5"), (23,): NAMES.index("c4")}
    with pytest.raises(IllegalActionError, match="'c5' is not a legal move here"):
        game.string_to_action(state, "c5")
    start = game.init(jax.random.key(0))
    assert game.render(start).endswith("x to place stone 1 of 9")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stones": 2}, "nine_mens_morris: stones is 2, but must be between 3 and 9"),
        ({"quiet_limit": 256}, "nine_mens_morris: quiet_limit is 256, but must be between 1 and 2"),
    ],
)
def test_options_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NineMensMorris(**options)
