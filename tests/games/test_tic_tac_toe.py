"""Tic-tac-toe against known facts, and its solver."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel
import pytest

from selfplay.errors import IllegalActionError
from selfplay.games.tic_tac_toe import TicTacToe, TicTacToeState
from tests.games.matches import breadth_first


@pytest.fixture(scope="module")
def game() -> TicTacToe:
    return TicTacToe()


def play(game: TicTacToe, text: str) -> TicTacToeState:
    state = game.init(jax.random.key(0))
    for name in text.split():
        state = game.step(state, jnp.int32(game.string_to_action(state, name)))
    return state


def test_reachable_positions(game: TicTacToe) -> None:
    counts = breadth_first(game, 9, distinct=True, chunk=2048)
    assert counts == [1, 9, 72, 252, 756, 1260, 1520, 1140, 390, 78]
    assert sum(counts) == 5478


@pytest.mark.parametrize(
    ("moves", "returns"),
    [
        ("a3 a2 b3 b2 c3", [1, -1]),
        ("a3 a2 b3 b2 c1 c2", [-1, 1]),
        ("a3 b3 a2 b2 a1", [1, -1]),
        ("a3 b3 b2 c3 c1", [1, -1]),
        ("c3 b3 b2 a3 a1", [1, -1]),
        ("b2 a3 c3 a1 a2 c2 b3 b1 c1", [0, 0]),
    ],
)
def test_results(game: TicTacToe, moves: str, returns: list[int]) -> None:
    state = play(game, moves)
    assert bool(game.is_terminal(state))
    np.testing.assert_array_equal(game.returns(state), returns)


def test_nobody_has_won_before_the_end(game: TicTacToe) -> None:
    state = play(game, "a3 a2 b3 b2")
    assert not bool(game.is_terminal(state))
    np.testing.assert_array_equal(game.returns(state), [0, 0])


def test_observation_is_the_movers(game: TicTacToe) -> None:
    state = play(game, "a3 b2 c1")
    own, opponent = np.moveaxis(np.asarray(game.observe(state)), -1, 0)
    np.testing.assert_array_equal(own, [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(opponent, [[1, 0, 0], [0, 0, 0], [0, 0, 1]])


def test_text_and_board(game: TicTacToe) -> None:
    state = play(game, "A3 b2")
    assert game.render(state) == "3 x . .\n2 . o .\n1 . . .\n  a b c\nx to move"
    board = game.board(state)
    assert board.cells == ["x", "", "", "", "o", "", "", "", ""]
    assert board.clicks == {(cell,): cell for cell in (1, 2, 3, 5, 6, 7, 8)}
    assert game.render(play(game, "a3 b3 a2 b2 a1")).endswith("x wins")
    assert game.board(play(game, "a3 b3 a2 b2 a1")).clicks == {}
    with pytest.raises(IllegalActionError, match="'b2' is not a legal move here"):
        game.string_to_action(state, "b2")


@pytest.mark.parametrize(
    ("moves", "value", "actions"),
    [
        ("", 0, "a3 b3 c3 a2 b2 c2 a1 b1 c1"),
        ("b2", 0, "a3 c3 a1 c1"),
        ("a3 b3", 1, "b2 a2 a1"),
        ("a3 a2 b3 b2", 1, "c3"),
        ("a3 b3 b2", -1, "c3 a2 c2 a1 b1 c1"),
        ("a3 a2 b3 b2 c3", -1, ""),
    ],
)
def test_solution(game: TicTacToe, moves: str, value: int, actions: str) -> None:
    state = play(game, moves)
    solution: Any = game.solve(state)
    assert solution.value == value
    names = {game.action_to_string(state, action) for action in solution.actions}
    assert names == set(actions.split())


def test_every_solution_agrees_with_open_spiel(game: TicTacToe) -> None:
    values: dict[str, float] = {}

    def value_for_x(state: pyspiel.State) -> float:
        text = str(state)
        if text not in values:
            if state.is_terminal():
                values[text] = state.returns()[0]
            else:
                best = max if state.current_player() == 0 else min
                values[text] = best(value_for_x(state.child(a)) for a in state.legal_actions())
                compare(state, text)
        return values[text]

    def compare(state: pyspiel.State, text: str) -> None:
        marks = [".xo".index(mark) - 1 for mark in text.replace("\n", "")]
        player = state.current_player()
        solution = game.solve(
            TicTacToeState(
                cells=jnp.array(marks, jnp.int8).reshape(3, 3),
                player=jnp.int8(player),
                winner=jnp.int8(-1),
            )
        )
        assert solution.value == values[text] * (1 - 2 * player)
        assert list(solution.actions) == [
            action for action in state.legal_actions()
            if value_for_x(state.child(action)) == values[text]
        ]  # fmt: skip

    assert value_for_x(pyspiel.load_game("tic_tac_toe").new_initial_state()) == 0
    assert len(values) == 5478
