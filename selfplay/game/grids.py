"""Rotations and reflections of rectangular boards, as symmetries of a game."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax.numpy as jnp
from jaxtyping import Array

from selfplay.game.rules import Symmetry

S = TypeVar("S")
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridTurn:
    """A rotation of a board, with or without a reflection after it.

    Attributes:
        quarters: quarter turns against the clock, 0 to 3.
        reflected: whether rows and columns change places after that.
    """

    quarters: int
    reflected: bool

    def __call__(self, grid: Array) -> Array:
        """Returns the image of an array `[rows, columns, ...]`."""
        turned = jnp.rot90(grid, self.quarters)
        return jnp.swapaxes(turned, 0, 1) if self.reflected else turned

    def rows(self, board: Sequence[Sequence[T]]) -> list[list[T]]:
        """Returns the image of a board in plain Python: a list of its rows.

        >>> GridTurn(quarters=1, reflected=False).rows([[1, 2], [3, 4]])
        [[2, 4], [1, 3]]
        """
        image = [list(row) for row in board]
        for _ in range(self.quarters):
            image = [list(row) for row in zip(*image, strict=True)][::-1]
        return [list(row) for row in zip(*image, strict=True)] if self.reflected else image


def grid_symmetries(
    rows: int,
    columns: int,
    map_state: Callable[[S, GridTurn], S],
    *,
    other_actions: int = 0,
) -> list[Symmetry[S]]:
    """Returns the rotations and reflections of a board, the identity left out.

    There are seven of a square board and three of any other. Use it if action `a` is a move on
    the cell in row `a // columns` and column `a % columns`, and if the rules look the same from
    every side. `selfplay check` finds out where they do not.

    Args:
        rows: rows of the board.
        columns: columns of the board.
        map_state: returns the image of one state; `turn(grid)` is the image of an array
            `[rows, columns, ...]`, and `turn.rows(board)` of a list of rows.
        other_actions: how many actions, such as a pass, come after those on cells; each is its
            own image.

    >>> from selfplay import grid_symmetries
    >>> symmetries = grid_symmetries(2, 2, lambda board, turn: turn.rows(board))
    >>> len(symmetries), symmetries[0].name, symmetries[0].permutation
    (7, 'rotate 90', (2, 0, 3, 1))
    >>> symmetries[0].map_state([["a", "b"], ["c", "d"]])
    [['b', 'd'], ['a', 'c']]
    """
    numbers = [[columns * row + column for column in range(columns)] for row in range(rows)]
    symmetries = []
    for reflected in (False, True):
        for quarters in range(4):
            # Of a board that is no square, only what keeps its shape.
            keeps_shape = rows == columns or (quarters % 2 == 1) == reflected
            if not keeps_shape or (quarters, reflected) == (0, False):
                continue
            turn = GridTurn(quarters=quarters, reflected=reflected)
            # `origins[new] = old`; a permutation has it the other way round.
            origins = [cell for row in turn.rows(numbers) for cell in row]
            images = sorted(range(len(origins)), key=origins.__getitem__)
            symmetries.append(
                Symmetry(
                    name=f"rotate {90 * quarters}" + (", reflect" if reflected else ""),
                    map_state=functools.partial(_mapped, map_state, turn),
                    permutation=(*images, *range(len(images), len(images) + other_actions)),
                )
            )
    return symmetries


def _mapped(map_state: Callable[[S, GridTurn], S], turn: GridTurn, state: S) -> S:
    return map_state(state, turn)
