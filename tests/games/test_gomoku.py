"""Gomoku against known positions, OpenSpiel and a walk along every line."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel
import pytest

from selfplay.errors import ConfigError, IllegalActionError
from selfplay.games.gomoku import Gomoku, GomokuState
from tests.games.matches import play_randomly


@functools.cache
def compiled(game: Gomoku) -> jax.stages.Wrapped:
    return jax.jit(game.step)


@pytest.fixture(scope="module")
def game() -> Gomoku:
    return Gomoku(size=7)


@pytest.fixture(scope="module")
def strict() -> Gomoku:
    return Gomoku(size=7, exactly_five=True)


def play(game: Gomoku, text: str) -> GomokuState:
    """Returns the position after moves such as "b2", which nothing checks."""
    state = game.init(jax.random.key(0))
    for name in text.split():
        action = (game.size - int(name[1:])) * game.size + "abcdefghijklmnopqrs".index(name[0])
        state = compiled(game)(state, jnp.int32(action))
    return state


def longest_lines(board: np.ndarray, row: int, column: int) -> list[int]:
    """Returns how long the four lines through a cell are, walking cell by cell."""
    size, lengths = len(board), []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        length = 1
        for sign in (1, -1):
            r, c = row + sign * down, column + sign * right
            while 0 <= r < size and 0 <= c < size and board[r, c] == board[row, column]:
                length, r, c = length + 1, r + sign * down, c + sign * right
        lengths.append(length)
    return lengths


@pytest.mark.parametrize(("size", "exactly_five"), [(7, False), (7, True), (19, False)])
def test_random_matches_agree_with_walking_the_lines(size: int, exactly_five: bool) -> None:
    game, num_matches = Gomoku(size=size, exactly_five=exactly_five), 48
    boards = np.full((num_matches, size, size), -1)
    winners = np.full(num_matches, -1)
    longer = 0
    for ply in play_randomly(game, num_matches, seed=size):
        full = (boards >= 0).all(axis=(1, 2))
        np.testing.assert_array_equal(ply.over, (winners >= 0) | full)
        expected = np.where(winners < 0, 0, 1 - 2 * winners)
        np.testing.assert_array_equal(ply.returns, np.stack([expected, -expected], axis=-1))
        np.testing.assert_array_equal(ply.mask, (boards < 0).reshape(num_matches, -1))
        for index in np.flatnonzero(~ply.over):
            row, column = divmod(int(ply.actions[index]), size)
            boards[index, row, column] = ply.player[index]
            lengths = longest_lines(boards[index], row, column)
            if 5 in lengths or (max(lengths) > 5 and not exactly_five):
                winners[index] = ply.player[index]
            elif max(lengths) > 5:
                longer += 1
    assert {0, 1} <= set(winners)
    if exactly_five:
        assert longer > 0


def test_random_matches_agree_with_open_spiel() -> None:
    game, num_matches = Gomoku(size=6), 60
    spiel = pyspiel.load_game("gomoku(size=6)")
    theirs = [spiel.new_initial_state() for _ in range(num_matches)]
    results = set()
    for ply in play_randomly(game, num_matches):
        for index, state in enumerate(theirs):
            assert bool(ply.over[index]) == state.is_terminal()
            if state.is_terminal():
                np.testing.assert_array_equal(ply.returns[index], state.returns())
                results.add(state.returns()[0])
                continue
            assert ply.player[index] == state.current_player()
            np.testing.assert_array_equal(np.flatnonzero(ply.mask[index]), state.legal_actions())
            state.apply_action(int(ply.actions[index]))
    assert results == {-1.0, 0.0, 1.0}


@pytest.mark.parametrize(
    "moves",
    [
        "a1 a2 b1 b2 c1 c2 d1 d2 e1",
        "g7 a2 g6 b2 g5 c2 g4 d2 g3",
        "a1 a2 b2 b3 c3 a4 d4 a5 e5",
        "g1 a2 f2 b3 e3 a4 d4 a5 c5",
    ],
)
def test_five_in_a_line_win(game: Gomoku, strict: Gomoku, moves: str) -> None:
    for rules in (game, strict):
        before = play(rules, moves.rpartition(" ")[0])
        assert not bool(rules.is_terminal(before))
        np.testing.assert_array_equal(rules.returns(before), [0, 0])
        state = play(rules, moves)
        assert bool(rules.is_terminal(state))
        np.testing.assert_array_equal(rules.returns(state), [1, -1])
        assert rules.render(state).endswith("x wins")
        assert rules.board(state).clicks == {}


def test_six_in_a_line(game: Gomoku, strict: Gomoku) -> None:
    moves = "a1 a2 b1 b2 c1 c2 e1 d3 f1 e3 d1"
    assert bool(game.is_terminal(play(game, moves)))
    assert not bool(strict.is_terminal(play(strict, moves)))


def test_a_line_does_not_run_on_in_the_next_row(game: Gomoku) -> None:
    assert not bool(game.is_terminal(play(game, "e2 a7 f2 a6 g2 a5 a1 a4 b1")))


def test_observation_is_the_movers(game: Gomoku) -> None:
    own, opponent = np.moveaxis(np.asarray(game.observe(play(game, "b1 c7 d4"))), -1, 0)
    assert np.argwhere(own).tolist() == [[0, 2]]
    assert np.argwhere(opponent).tolist() == [[3, 3], [6, 1]]


def test_text_and_board() -> None:
    game = Gomoku(size=5)
    state = play(game, "c3 d4")
    assert game.render(state) == "\n".join(
        [
            "5 . . . . .",
            "4 . . . o .",
            "3 . . x . .",
            "2 . . . . .",
            "1 . . . . .",
            "  a b c d e",
            "x to move",
        ]
    )
    board = game.board(state)
    assert [board.cells[cell] for cell in (8, 12)] == ["white", "black"]
    assert set(board.clicks.values()) == set(np.flatnonzero(game.legal_action_mask(state)))
    assert game.string_to_action(state, "E1") == 24
    with pytest.raises(IllegalActionError, match="'c3' is not a legal move here"):
        game.string_to_action(state, "c3")


@pytest.mark.parametrize("size", [4, 20])
def test_size_out_of_range(size: int) -> None:
    with pytest.raises(ConfigError, match=f"gomoku: size is {size}, but must be between 5 and 19"):
        Gomoku(size=size)
