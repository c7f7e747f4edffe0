"""Tic-tac-toe: three in a row on a 3 by 3 board."""

import functools
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key

from selfplay.game import BoardView, Game, GridTurn, Solution, Symmetry, grid_symmetries, pytree

_PIECES = ("x", "o")
_LINES = tuple(
    sum(1 << cell for cell in line)
    for line in (
        *((3 * row, 3 * row + 1, 3 * row + 2) for row in range(3)),
        *((column, column + 3, column + 6) for column in range(3)),
        (0, 4, 8),
        (2, 4, 6),
    )
)


@pytree
class TicTacToeState:
    """A position.

    Attributes:
        cells: -1 where empty, else the player whose mark it is; the top row first.
        player: who is to move.
        winner: -1 until somebody has three in a row.
    """

    cells: Int8[Array, "3 3"]
    player: Int8[Array, ""]
    winner: Int8[Array, ""]


class TicTacToe(Game[TicTacToeState]):
    """Three in a row on a 3 by 3 board; player 0 (x) begins."""

    name = "tic_tac_toe"
    title = "Tic-tac-toe"
    suite_file = "suites/tic_tac_toe.txt"
    num_actions = 9
    max_plies = 9

    def init(self, key: Key[Array, ""]) -> TicTacToeState:
        """Returns the empty board."""
        return TicTacToeState(
            cells=jnp.full((3, 3), -1, jnp.int8), player=jnp.int8(0), winner=jnp.int8(-1)
        )

    def step(self, state: TicTacToeState, action: Int32[Array, ""]) -> TicTacToeState:
        """Returns the position with the mover's mark on cell `action`."""
        chosen = jnp.arange(9).reshape(3, 3) == action
        cells = jnp.where(chosen, state.player, state.cells)
        own = cells == state.player
        made_line = (
            own.all(axis=0).any()
            | own.all(axis=1).any()
            | (own[0, 0] & own[1, 1] & own[2, 2])
            | (own[0, 2] & own[1, 1] & own[2, 0])
        )
        return TicTacToeState(
            cells=cells,
            player=1 - state.player,
            winner=jnp.where(made_line, state.player, state.winner),
        )

    def current_player(self, state: TicTacToeState) -> Int32[Array, ""]:
        """Returns who is to move; the players take turns."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: TicTacToeState) -> Bool[Array, "9"]:
        """Returns the empty cells."""
        return (state.cells < 0).reshape(-1)

    def is_terminal(self, state: TicTacToeState) -> Bool[Array, ""]:
        """Returns whether there is a line or the board is full."""
        return (state.winner >= 0) | (state.cells >= 0).all()

    def returns(self, state: TicTacToeState) -> Float32[Array, "2"]:
        """Returns 1 for the winner and -1 for the other, or 0 for both."""
        won = jnp.arange(2) == state.winner
        return jnp.where(state.winner < 0, 0.0, jnp.where(won, 1.0, -1.0)).astype(jnp.float32)

    def observe(self, state: TicTacToeState) -> Float32[Array, "3 3 2"]:
        """Returns two planes: the mover's marks and the opponent's."""
        marks = (state.cells == state.player, state.cells == 1 - state.player)
        return jnp.stack(marks, axis=-1).astype(jnp.float32)

    def symmetries(self) -> Sequence[Symmetry[TicTacToeState]]:
        """Returns the seven rotations and reflections of the square."""

        def map_state(state: TicTacToeState, turn: GridTurn) -> TicTacToeState:
            return TicTacToeState(cells=turn(state.cells), player=state.player, winner=state.winner)

        return grid_symmetries(3, 3, map_state)

    def render(self, state: TicTacToeState) -> str:
        """Returns the board with its coordinates, and who is to move or has won."""
        rows = state.cells.tolist()
        lines = [
            f"{3 - row} " + " ".join("." if cell < 0 else _PIECES[cell] for cell in cells)
            for row, cells in enumerate(rows)
        ]
        if int(state.winner) >= 0:
            status = f"{_PIECES[int(state.winner)]} wins"
        elif all(cell >= 0 for cells in rows for cell in cells):
            status = "draw"
        else:
            status = f"{_PIECES[int(state.player)]} to move"
        return "\n".join([*lines, "  a b c", status])

    def action_to_string(self, state: TicTacToeState, action: int) -> str:
        """Returns column and row: "a3" is the top left corner, "c1" the bottom right one."""
        return f"{'abc'[action % 3]}{3 - action // 3}"

    def board(self, state: TicTacToeState) -> BoardView:
        """Returns the nine cells; a click on an empty one marks it."""
        cells = [cell for row in state.cells.tolist() for cell in row]
        playable = range(9) if int(state.winner) < 0 else []
        own = sum(1 << index for index, cell in enumerate(cells) if cell == int(state.winner))
        return BoardView(
            kind="square",
            rows=3,
            columns=3,
            cells=["" if cell < 0 else _PIECES[cell] for cell in cells],
            clicks={(cell,): cell for cell in playable if cells[cell] < 0},
            highlights=[
                cell
                for line in _LINES
                if int(state.winner) >= 0 and line & own == line
                for cell in range(9)
                if line >> cell & 1
            ],
            row_labels="321",
            column_labels="abc",
        )

    def solve(self, state: TicTacToeState) -> Solution:
        """Returns the exact value and every best action, by minimax over the whole game."""
        cells = [cell for row in state.cells.tolist() for cell in row]
        player = int(state.player)
        own = sum(1 << index for index, cell in enumerate(cells) if cell == player)
        opponent = sum(1 << index for index, cell in enumerate(cells) if cell == 1 - player)
        value, actions = _minimax(own, opponent)
        return Solution(value=float(value), actions=actions)


@functools.cache
def _minimax(own: int, opponent: int) -> tuple[int, tuple[int, ...]]:
    """Returns the value for the player to move and the actions that reach it.

    `own` and `opponent` are bit masks of cells; only the opponent can have a line.
    """
    if any(opponent & line == line for line in _LINES):
        return -1, ()
    empty = [cell for cell in range(9) if not (own | opponent) >> cell & 1]
    if not empty:
        return 0, ()
    values = {cell: -_minimax(opponent, own | 1 << cell)[0] for cell in empty}
    best = max(values.values())
    return best, tuple(cell for cell, value in values.items() if value == best)
