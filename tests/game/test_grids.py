"""Rotations and reflections of boards as symmetries of a game."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.game import GridTurn, grid_symmetries


def images(rows: int, columns: int, other_actions: int = 0) -> dict[str, Any]:
    def map_state(state: Any, turn: GridTurn) -> Any:
        return turn.rows(state)

    board = [[(row, column) for column in range(columns)] for row in range(rows)]
    symmetries = grid_symmetries(rows, columns, map_state, other_actions=other_actions)
    return {symmetry.name: (symmetry, symmetry.map_state(board)) for symmetry in symmetries}


@pytest.mark.parametrize(("rows", "columns", "count"), [(3, 3, 7), (2, 3, 3), (3, 1, 3), (1, 1, 7)])
def test_each_action_goes_where_its_cell_goes(rows, columns, count):
    found = images(rows, columns)
    assert len(found) == count
    for symmetry, image in found.values():
        assert len(image) == rows and {len(row) for row in image} == {columns}
        for row in range(rows):
            for column in range(columns):
                new_row, new_column = divmod(symmetry.permutation[columns * row + column], columns)
                assert image[new_row][new_column] == (row, column)


def test_the_symmetries_of_a_square_are_different_and_complete():
    boards = [image for _, image in images(3, 3).values()]
    identity = [[(row, column) for column in range(3)] for row in range(3)]
    assert identity not in boards
    assert all(boards.count(board) == 1 for board in boards)


def test_a_board_that_is_no_square_keeps_its_shape():
    names = list(images(2, 3))
    assert names == ["rotate 180", "rotate 90, reflect", "rotate 270, reflect"]
    assert images(1, 2)["rotate 180"][1] == [[(0, 1), (0, 0)]]


def test_other_actions_are_their_own_images():
    for symmetry, _ in images(2, 2, other_actions=2).values():
        assert list(symmetry.permutation[4:]) == [4, 5]
        assert sorted(symmetry.permutation) == list(range(6))


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("reflected", [False, True])
def test_arrays_and_lists_turn_alike(quarters, reflected):
    turn = GridTurn(quarters=quarters, reflected=reflected)
    grid = np.arange(12).reshape(3, 4)
    assert np.asarray(turn(jnp.array(grid))).tolist() == turn.rows(grid.tolist())
    planes = jnp.stack([jnp.array(grid), jnp.array(-grid)], axis=-1)
    assert (turn(planes)[..., 1] == -turn(jnp.array(grid))).all()
