"""A game whose players begin in opposite corners, sound and with one mistake each.

With the other player to begin, the first position does not look the same: only the board that is
rotated as well does.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from selfplay.game import Game, Symmetry, grid_symmetries, pytree

SIZE = 4
CELLS = SIZE * SIZE
PASS = CELLS
_PLACES = np.array([(cell // SIZE, cell % SIZE) for cell in range(CELLS)])
NEAR = np.abs(_PLACES[:, None] - _PLACES[None]).max(axis=2) == 1


@pytree
class Board:
    """Pieces, -1 where a cell is empty, and who is to move."""

    cells: Array
    player: Array


class Corners(Game[Board]):
    """Grow beside own pieces and convert all neighbours; most pieces win."""

    name = "corners"
    num_actions = CELLS + 1
    max_plies = 2 * CELLS
    corners: tuple[tuple[int, ...], tuple[int, ...]] = ((0, 15), (3, 12))

    def init(self, key: Any) -> Board:
        cells = jnp.full(CELLS, -1, jnp.int8)
        for player in range(2):
            cells = cells.at[jnp.array(self.corners[player])].set(player)
        return Board(cells=cells, player=jnp.int32(0))

    def step(self, state: Board, action: Any) -> Board:
        cell = jnp.arange(CELLS)
        beside = jnp.asarray(NEAR)[jnp.minimum(action, CELLS - 1)] & (action < CELLS)
        taken = (cell == action) | (beside & (state.cells == 1 - state.player))
        cells = jnp.where(taken, state.player, state.cells).astype(jnp.int8)
        return Board(cells=cells, player=1 - state.player)

    def current_player(self, state: Board) -> Any:
        return state.player

    def moves(self, state: Board, player: Any) -> Any:
        return (state.cells < 0) & (jnp.asarray(NEAR) & (state.cells == player)[None]).any(axis=1)

    def legal_action_mask(self, state: Board) -> Any:
        moves = self.moves(state, state.player)
        return jnp.append(moves, ~moves.any())

    def is_terminal(self, state: Board) -> Any:
        return ~(self.moves(state, 0).any() | self.moves(state, 1).any())

    def returns(self, state: Board) -> Any:
        more = jnp.sign((state.cells == 0).sum() - (state.cells == 1).sum())
        return jnp.stack([more, -more]).astype(jnp.float32)

    def observe(self, state: Board) -> Any:
        planes = [state.cells == state.player, state.cells == 1 - state.player]
        return jnp.stack(planes, -1).reshape(SIZE, SIZE, 2).astype(jnp.float32)

    def symmetries(self) -> Sequence[Symmetry[Board]]:
        def map_state(state: Board, turn: Any) -> Board:
            cells = turn(state.cells.reshape(SIZE, SIZE)).reshape(-1)
            return Board(cells=cells, player=state.player)

        return grid_symmetries(SIZE, SIZE, map_state, other_actions=1)


class ResultOfTheMover(Corners):
    """A planted mistake: entry 0 of the results is for whoever is to move."""

    def returns(self, state: Board) -> Any:
        return jnp.where(state.player == 0, 1, -1) * super().returns(state)


class PlayerZeroFirst(Corners):
    """A planted mistake: the pieces of player 0 come first, whoever is to move."""

    def observe(self, state: Board) -> Any:
        planes = [state.cells == 0, state.cells == 1]
        return jnp.stack(planes, -1).reshape(SIZE, SIZE, 2).astype(jnp.float32)


class EndsForOne(Corners):
    """A planted mistake: the match is over when player 0 cannot grow."""

    def is_terminal(self, state: Board) -> Any:
        return ~self.moves(state, 0).any()


class WrongSymmetry(Corners):
    """A planted mistake: the symmetries leave who is to move out."""

    def symmetries(self) -> Sequence[Symmetry[Board]]:
        def map_state(state: Board, turn: Any) -> Board:
            cells = turn(state.cells.reshape(SIZE, SIZE)).reshape(-1)
            return Board(cells=cells, player=jnp.zeros_like(state.player))

        return grid_symmetries(SIZE, SIZE, map_state, other_actions=1)
