"""Othello against known facts and independent implementations."""

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel
import pytest

from selfplay.errors import ConfigError, IllegalActionError
from selfplay.games.othello import Othello, OthelloState
from tests.games.matches import breadth_first, play_randomly

DIRECTIONS = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]
Cell = tuple[int, int]
Board = dict[tuple[int, int], int]


@pytest.fixture(scope="module")
def game() -> Othello:
    return Othello()


def play(game: Othello, text: str) -> OthelloState:
    """Returns the position after moves such as "d3", which nothing checks."""
    step = jax.jit(game.step)
    state = game.init(jax.random.key(0))
    for name in text.split():
        action = (int(name[1:]) - 1) * game.size + "abcdefgh".index(name[0])
        state = step(state, jnp.int32(action))
    return state


def reference_flips(
    board: Board, size: int, cell: tuple[int, int], player: int
) -> list[tuple[int, int]]:
    """Returns the discs that a disc on `cell` turns, walking cell by cell."""
    flips = []
    for down, right in DIRECTIONS:
        line = []
        row, column = cell[0] + down, cell[1] + right
        while board.get((row, column)) == 1 - player:
            line.append((row, column))
            row, column = row + down, column + right
        if board.get((row, column)) == player:
            flips += line
    return flips


def reference_moves(board: Board, size: int, player: int) -> dict[Cell, list[Cell]]:
    cells = [(row, column) for row in range(size) for column in range(size)]
    flips = {c: reference_flips(board, size, c, player) for c in cells if c not in board}
    return {cell: turned for cell, turned in flips.items() if turned}


def reference_perft(board: Board, size: int, player: int, depth: int) -> int:
    """Returns the number of move sequences of length `depth`, passes counted as moves."""
    if depth == 0:
        return 1
    moves = reference_moves(board, size, player)
    if not moves:
        if not reference_moves(board, size, 1 - player):
            return 0
        return reference_perft(board, size, 1 - player, depth - 1)
    total = 0
    for cell, turned in moves.items():
        after = board | dict.fromkeys([cell, *turned], player)
        total += reference_perft(after, size, 1 - player, depth - 1)
    return total


def test_perft(game: Othello) -> None:
    counts = breadth_first(game, 7, distinct=False, chunk=1024)
    assert counts == [1, 4, 12, 56, 244, 1396, 8200, 55092]


@pytest.mark.parametrize(("size", "depth"), [(6, 6), (4, 9)])
def test_perft_agrees_with_walking_cell_by_cell(size: int, depth: int) -> None:
    low, high = size // 2 - 1, size // 2
    board = {(low, high): 0, (high, low): 0, (low, low): 1, (high, high): 1}
    counts = breadth_first(Othello(size=size), depth, distinct=False, chunk=1024)
    assert counts == [reference_perft(board, size, 0, n) for n in range(depth + 1)]


@pytest.mark.parametrize("size", [4, 6, 10])
def test_random_matches_of_other_sizes_agree_with_walking_cell_by_cell(size: int) -> None:
    game = Othello(size=size)
    num_matches = 4
    low, high = size // 2 - 1, size // 2
    start = {(low, high): 0, (high, low): 0, (low, low): 1, (high, high): 1}
    boards: list[Board] = [dict(start) for _ in range(num_matches)]
    movers = [0] * num_matches
    for ply in play_randomly(game, num_matches, seed=size):
        for index, board in enumerate(boards):
            mover = movers[index]
            moves = reference_moves(board, size, mover)
            over = not moves and not reference_moves(board, size, 1 - mover)
            assert bool(ply.over[index]) == over
            discs = list(board.values())
            margin = np.sign(discs.count(0) - discs.count(1))
            np.testing.assert_array_equal(ply.returns[index], [margin, -margin])
            if over:
                continue
            assert ply.player[index] == mover
            expected = np.zeros(game.num_actions, bool)
            for row, column in moves:
                expected[row * size + column] = True
            expected[-1] = not moves
            np.testing.assert_array_equal(ply.mask[index], expected)
            action = int(ply.actions[index])
            if moves:
                cell = divmod(action, size)
                board.update(dict.fromkeys([cell, *moves[cell]], mover))
            movers[index] = 1 - mover


def test_random_matches_agree_with_open_spiel(game: Othello) -> None:
    spiel = pyspiel.load_game("othello")
    num_matches = 200
    theirs = [spiel.new_initial_state() for _ in range(num_matches)]
    passes = 0
    for ply in play_randomly(game, num_matches):
        masks = np.zeros((num_matches, game.num_actions), bool)
        for index, state in enumerate(theirs):
            assert bool(ply.over[index]) == state.is_terminal()
            if state.is_terminal():
                np.testing.assert_array_equal(ply.returns[index], state.returns())
                continue
            masks[index, state.legal_actions()] = True
            assert ply.player[index] == state.current_player()
            state.apply_action(int(ply.actions[index]))
        np.testing.assert_array_equal(ply.mask, masks)
        passes += masks[:, -1].sum()
    assert passes > 20


# Black takes the last white disc with the ninth move.
SHORT_MATCH = "e6 f4 e3 f6 g5 d6 e7 f5 c5"


def test_match_without_opponent_discs_ends(game: Othello) -> None:
    state = play(game, SHORT_MATCH)
    assert bool(game.is_terminal(state))
    assert not bool(game.legal_action_mask(state).any())
    np.testing.assert_array_equal(game.returns(state), [1, -1])
    assert game.render(state).endswith("x wins (x 13, o 0)")


def test_pass_is_forced_and_moves_nothing() -> None:
    game = Othello(size=4)
    for ply in play_randomly(game, 64):
        passing = np.flatnonzero(ply.mask[:, -1])
        if passing.size:
            break
    assert ply.mask[passing[0]].sum() == 1
    state = jax.tree.map(lambda leaf: leaf[passing[0]], ply.states)
    assert game.board(state).clicks == {(): 16}
    assert game.action_to_string(state, 16) == "pass"
    after = game.step(state, jnp.int32(game.string_to_action(state, "Pass")))
    np.testing.assert_array_equal(after.discs, state.discs)
    assert int(after.player) == 1 - int(state.player)
    assert not bool(after.over)
    mask = np.asarray(game.legal_action_mask(after))
    assert mask.any() and not mask[-1]


def test_auxiliary_targets_are_the_movers(game: Othello) -> None:
    final = play(game, SHORT_MATCH)
    black, white = game.init(jax.random.key(0)), play(game, "e6")
    own = game.auxiliary_targets(black, final)
    other = game.auxiliary_targets(white, final)
    assert own["ownership"].shape == (8, 8)
    assert float(own["ownership"].sum()) == 13
    assert float(own["score_margin"]) == pytest.approx(13 / 64)
    np.testing.assert_array_equal(other["ownership"], -own["ownership"])
    assert float(other["score_margin"]) == pytest.approx(-13 / 64)


def test_observation_is_the_movers(game: Othello) -> None:
    own, opponent = np.moveaxis(np.asarray(game.observe(play(game, "d3"))), -1, 0)
    assert np.argwhere(own).tolist() == [[4, 4]]
    assert np.argwhere(opponent).tolist() == [[2, 3], [3, 3], [3, 4], [4, 3]]


def test_text_and_board() -> None:
    game = Othello(size=6)
    state = play(game, "c2")
    assert game.render(state) == "\n".join(
        [
            "  a b c d e f",
            "1 . . . . . .",
            "2 . . x . . .",
            "3 . . x x . .",
            "4 . . x o . .",
            "5 . . . . . .",
            "6 . . . . . .",
            "o to move (x 4, o 1)",
        ]
    )
    board = game.board(state)
    assert [board.cells[cell] for cell in (8, 14, 15, 20, 21)] == ["black"] * 4 + ["white"]
    assert game.string_to_action(state, " D2 ") == 9
    with pytest.raises(IllegalActionError, match="'c2' is not a legal move here"):
        game.string_to_action(state, "c2")
    assert set(board.clicks.values()) == set(np.flatnonzero(game.legal_action_mask(state)))


def test_draw_is_zero_for_both(game: Othello) -> None:
    start = game.init(jax.random.key(0))
    np.testing.assert_array_equal(game.returns(start), [0, 0])


@pytest.mark.parametrize("size", [2, 7, 12])
def test_size_out_of_range(size: int) -> None:
    with pytest.raises(ConfigError, match=f"othello: size is {size}, but must be 4, 6, 8 or 10"):
        Othello(size=size)
