"""Dots and boxes against OpenSpiel, brute force and positions by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel
import pytest

from selfplay.errors import ConfigError
from selfplay.games.dots_and_boxes import DotsAndBoxes, DotsAndBoxesState
from tests.games.matches import play_randomly


def play(game: DotsAndBoxes, text: str) -> DotsAndBoxesState:
    state = game.init(jax.random.key(0))
    for name in text.split():
        state = game.step(state, jnp.int32(game.string_to_action(state, name)))
    return state


@pytest.mark.parametrize("margin", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (2, 4)])
def test_random_matches_agree_with_open_spiel(rows: int, columns: int, margin: bool) -> None:
    game = DotsAndBoxes(rows=rows, columns=columns, margin=margin)
    # The actions have the same numbers: lines across row by row, then lines down.
    spiel = pyspiel.load_game(
        "dots_and_boxes", {"num_rows": rows, "num_cols": columns, "utility_margin": margin}
    )
    assert spiel.num_distinct_actions() == game.num_actions
    num_matches = 100
    theirs = [spiel.new_initial_state() for _ in range(num_matches)]
    results = set()
    for ply in play_randomly(game, num_matches):
        masks = np.zeros((num_matches, game.num_actions), bool)
        for index, state in enumerate(theirs):
            assert bool(ply.over[index]) == state.is_terminal()
            if state.is_terminal():
                scale = rows * columns if margin else 1
                np.testing.assert_allclose(ply.returns[index] * scale, state.returns(), rtol=1e-6)
                results.add(state.returns()[0])
                continue
            masks[index, state.legal_actions()] = True
            assert ply.player[index] == state.current_player()
            state.apply_action(int(ply.actions[index]))
        np.testing.assert_array_equal(ply.mask, masks)
    assert len(results) > (3 if margin else 1)


@functools.cache
def best_margin(rows: int, columns: int, drawn: int) -> int:
    """Returns the boxes that the mover still gains over the opponent, by trying everything."""

    def sides(row: int, column: int) -> int:
        across = row * columns + column
        down = (rows + 1) * columns + row * (columns + 1) + column
        return 1 << across | 1 << across + columns | 1 << down | 1 << down + 1

    boxes = [sides(row, column) for row in range(rows) for column in range(columns)]
    values = []
    for line in range((rows + 1) * columns + rows * (columns + 1)):
        after = drawn | 1 << line
        if after != drawn:
            closed = sum(after & box == box and drawn & box != box for box in boxes)
            rest = best_margin(rows, columns, after)
            values.append(closed + rest if closed else -rest)
    return max(values, default=0)


# The values are those of a full search through OpenSpiel's game: 2 by 2 ends three boxes to one.
@pytest.mark.parametrize(
    ("rows", "columns", "value"), [(1, 1, -1), (1, 2, 0), (1, 3, -1), (2, 2, 2)]
)
def test_small_boards_solved(rows: int, columns: int, value: int) -> None:
    """Minimax over the game's own positions agrees with brute force over sets of lines."""
    assert best_margin(rows, columns, 0) == value
    game = DotsAndBoxes(rows=rows, columns=columns, margin=True)
    step = jax.jit(jax.vmap(game.step))
    look = jax.jit(jax.vmap(lambda s: (game.legal_action_mask(s), game.returns(s), s.player)))
    lines = game.num_actions

    # Random matches give positions; from each, what is still to be won is known.
    checked = 0
    for ply in play_randomly(game, 32):
        drawn = [sum(1 << line for line in range(lines) if not mask[line]) for mask in ply.mask]
        states, going = ply.states, np.flatnonzero(~ply.over)
        for index in going[:4]:
            # The value of a position is the best over its children, by the game's own rules.
            one = jax.tree.map(lambda leaf, i=index: jnp.repeat(leaf[i][None], lines, 0), states)
            children = step(one, jnp.arange(lines, dtype=jnp.int32))
            masks, returns, players = jax.device_get(look(children))
            mover = int(ply.player[index])
            boxes = rows * columns
            now = ply.returns[index][mover] * boxes
            values = []
            for line in np.flatnonzero(ply.mask[index]):
                after = sum(1 << other for other in range(lines) if not masks[line][other])
                gained = returns[line][mover] * boxes - now
                rest = best_margin(rows, columns, after)
                values.append(gained + (rest if players[line] == mover else -rest))
            assert max(values) == pytest.approx(best_margin(rows, columns, drawn[index]))
            checked += 1
    assert checked > lines


def test_closing_a_box_moves_again() -> None:
    game = DotsAndBoxes(rows=1, columns=2)
    state = play(game, "b1 a2 b3")
    assert int(state.player) == 1
    # o closes the left box with the line in the middle, then x's line does not close the other.
    state = play(game, "b1 a2 b3 c2")
    assert int(state.player) == 1
    state = play(game, "b1 a2 b3 c2 d1")
    assert int(state.player) == 0
    state = play(game, "b1 a2 b3 c2 d1 d3 e2")
    assert bool(game.is_terminal(state))
    np.testing.assert_array_equal(game.returns(state), [-1, 1])


def test_one_line_closes_two_boxes() -> None:
    game = DotsAndBoxes(rows=1, columns=2, margin=True)
    state = play(game, "b1 a2 b3 d1 e2 d3")
    assert int(state.player) == 0
    state = play(game, "b1 a2 b3 d1 e2 d3 c2")
    assert bool(game.is_terminal(state))
    np.testing.assert_array_equal(game.returns(state), [1, -1])


def test_draw_is_zero_for_both() -> None:
    game = DotsAndBoxes(rows=1, columns=2)
    # Each player closes one box.
    state = play(game, "c2 b1 a2 d1 b3 e2 d3")
    assert bool(game.is_terminal(state))
    np.testing.assert_array_equal(game.returns(state), [0, 0])
    assert game.render(state).endswith("draw (x 1, o 1)")


def test_auxiliary_targets_are_the_movers() -> None:
    game = DotsAndBoxes(rows=1, columns=2)
    final = play(game, "b1 a2 b3 c2 d1 d3 e2")
    mine = game.auxiliary_targets(game.init(jax.random.key(0)), final)
    yours = game.auxiliary_targets(play(game, "b1"), final)
    np.testing.assert_array_equal(mine["ownership"], [[-1, -1]])
    assert float(mine["score_margin"]) == -1
    np.testing.assert_array_equal(yours["ownership"], [[1, 1]])
    assert float(yours["score_margin"]) == 1


def test_observation_is_the_movers() -> None:
    game = DotsAndBoxes(rows=1, columns=2)
    across, down, own, opponent = np.moveaxis(
        np.asarray(game.observe(play(game, "b1 a2 b3 c2"))), -1, 0
    )
    np.testing.assert_array_equal(across, [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(down, [[1, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(own, [[1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(opponent, np.zeros((2, 3)))


def test_text_and_board() -> None:
    game = DotsAndBoxes(rows=2, columns=2)
    state = play(game, "b1 a2 b3 c2 e4")
    assert game.render(state) == "\n".join(
        [
            "  a b c d e",
            "1 + - +   +",
            "2 | o |",
            "3 + - +   +",
            "4         |",
            "5 +   +   +",
            "x to move (x 0, o 1)",
        ]
    )
    board = game.board(state)
    assert (board.kind, board.rows, board.columns) == ("edges", 5, 5)
    assert board.cells[:8] == ["dot", "line", "dot", "", "dot", "line", "o", "line"]
    assert board.clicks[(3,)] == game.string_to_action(state, "D1") == 1
    assert set(board.clicks.values()) == set(np.flatnonzero(game.legal_action_mask(state)))
    assert len(game.symmetries()) == 7
    assert len(DotsAndBoxes(rows=2, columns=3).symmetries()) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "dots_and_boxes: rows is 0, but must be between 1 and 7"),
        ({"columns": 8}, "dots_and_boxes: columns is 8, but must be between 1 and 7"),
    ],
)
def test_size_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DotsAndBoxes(**options)
