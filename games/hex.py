"""Hex: join your two sides of the board by a chain of stones; somebody always does."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int, Int8, Int32, Key

from selfplay.errors import ConfigError
from selfplay.game import BoardView, Game, Solution, Symmetry, legal_actions, pytree
from selfplay.games.hex_solver import HexSolver

_SYMBOLS = ("x", "o")
_PIECES = ("red", "blue")
_LETTERS = "abcdefghijklmnopqrs"
_SOLVER_LIMIT = 20_000
_LARGEST_SOLVED = 4  # boards on which every position is within the limit after one stone
_DIRECTIONS = ((-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0))


@pytree
class HexState:
    """A position: 11 by 11 needs 123 bytes.

    Attributes:
        board: for each cell 0 (empty), or the number of its group: positive the first player's,
            negative the second's. The number is 1 for a group that touches its owner's first
            side (top or left), 2 for the other side, else 3 + the lowest cell of the group.
        player: who is to move.
        winner: -1 until somebody's group touches both sides.
    """

    board: Int[Array, " cells"]
    player: Int8[Array, ""]
    winner: Int8[Array, ""]


class Hex(Game[HexState]):
    """Hex on a rhombus; player 0 (x, red) begins and joins top and bottom, player 1 left and right.

    Args:
        size: side of the board, 3 to 19.
        swap: whether the second player may take over the first stone instead of a first move.
    """

    name = "hex"
    suite_file = "suites/hex.txt"

    def __init__(self, size: int = 11, swap: bool = True) -> None:
        if not 3 <= size <= 19:
            raise ConfigError(f"hex: size is {size}, but must be between 3 and 19")
        self.size = size
        self.swap = swap
        self._cells = size * size
        self.num_actions = self._cells + swap
        self.max_plies = self._cells + swap
        cells = [(row, column) for row in range(size) for column in range(size)]
        # The cell beyond the last stands for all that are off the board.
        self._neighbours = [
            [
                (row + down) * size + column + right
                if 0 <= row + down < size and 0 <= column + right < size
                else self._cells
                for down, right in _DIRECTIONS
            ]
            for row, column in cells
        ]
        # The group of a stone that stands alone, by player.
        self._alone = [
            [self._side(cell[player]) or 3 + index for index, cell in enumerate(cells)]
            for player in range(2)
        ]

    def init(self, key: Key[Array, ""]) -> HexState:
        """Returns the empty board."""
        return HexState(
            board=jnp.zeros(self._cells, jnp.int8 if self._cells + 2 < 128 else jnp.int16),
            player=jnp.int8(0),
            winner=jnp.int8(-1),
        )

    def step(self, state: HexState, action: Int32[Array, ""]) -> HexState:
        """Returns the position after a stone on cell `action`, or after the swap."""
        second = state.player == 1
        # The mover's groups are positive.
        board = jnp.where(second, -state.board, state.board)
        alone = jnp.array(self._alone, jnp.int32)[state.player.astype(jnp.int32), action]
        beside = jnp.array(self._neighbours, jnp.int32)[action]
        around = jnp.append(board, jnp.zeros(1, board.dtype))[beside].astype(jnp.int32)
        touched = jnp.append(jnp.where(around > 0, around, alone), alone)
        group = touched.min()
        wins = (touched == 1).any() & (touched == 2).any()
        cells = jnp.arange(self._cells, dtype=jnp.int32)
        joined = (board.astype(jnp.int32)[:, None] == touched[None]).any(axis=1)
        after = jnp.where(joined | (cells == action), group.astype(board.dtype), board)
        if self.swap:
            # The first stone becomes the mover's, mirrored so that it is worth the same.
            columns = (board != 0).reshape(self.size, self.size).T.reshape(-1)
            own = jnp.array(self._alone[1], board.dtype)
            swapped = jnp.where(columns, own, jnp.zeros_like(own))
            after = jnp.where(action == self._cells, swapped, after)
            wins &= action != self._cells
        return HexState(
            board=jnp.where(second, -after, after),
            player=1 - state.player,
            winner=jnp.where(wins, state.player, state.winner),
        )

    def current_player(self, state: HexState) -> Int32[Array, ""]:
        """Returns who is to move; the players take turns."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: HexState) -> Bool[Array, " A"]:
        """Returns the empty cells; the last action, if there is a swap, is the swap."""
        empty = state.board == 0
        return jnp.append(empty, self._may_swap(state)) if self.swap else empty

    def is_terminal(self, state: HexState) -> Bool[Array, ""]:
        """Returns whether somebody has joined both sides."""
        return state.winner >= 0

    def returns(self, state: HexState) -> Float32[Array, "2"]:
        """Returns 1 for the winner and -1 for the other; 0 for both while nobody has won."""
        won = jnp.arange(2, dtype=jnp.int8) == state.winner
        return jnp.where(state.winner < 0, 0.0, jnp.where(won, 1.0, -1.0)).astype(jnp.float32)

    def observe(self, state: HexState) -> Float32[Array, "size size 4"]:
        """Returns four planes.

        The mover's stones, the opponent's, whether the mover joins left and right, and whether
        the mover may swap.
        """
        second = state.player == 1
        board = jnp.where(second, -state.board, state.board).reshape(self.size, self.size)
        whole = jnp.ones_like(board, jnp.bool_)
        may_swap = self._may_swap(state)
        planes = [board > 0, board < 0, whole & second, whole & may_swap]
        return jnp.stack(planes, axis=-1).astype(jnp.float32)

    def symmetries(self) -> Sequence[Symmetry[HexState]]:
        """Returns the half turn."""

        def turn(state: HexState) -> HexState:
            board = state.board.astype(jnp.int32)
            group = jnp.abs(board)[::-1]
            # What was the highest cell of a group is the lowest now.
            cells = jnp.arange(self._cells, dtype=jnp.int32)
            lowest = jnp.full(self._cells + 3, self._cells, jnp.int32).at[group].min(cells)
            # The sides change places, but the group that touches both keeps the first.
            owner = jnp.sign(board)[::-1]
            joined = (state.winner >= 0) & (owner == jnp.where(state.winner == 0, 1, -1))
            side = jnp.where(joined, group, 3 - group)
            number = jnp.where(group < 3, side, 3 + lowest[group])
            return HexState(
                board=(owner * number).astype(state.board.dtype),
                player=state.player,
                winner=state.winner,
            )

        permutation = (*reversed(range(self._cells)), *range(self._cells, self.num_actions))
        return (Symmetry(name="half turn", map_state=turn, permutation=permutation),)

    def render(self, state: HexState) -> str:
        """Returns the rhombus with its coordinates, and who is to move or has won."""
        width = len(str(self.size))
        pieces = self._pieces(state, _SYMBOLS, ".")
        lines = [
            " " * row
            + f"{row + 1:>{width}} "
            + " ".join(pieces[row * self.size : (row + 1) * self.size])
            for row in range(self.size)
        ]
        letters = " " * width + " ".join(_LETTERS[: self.size])
        if int(state.winner) >= 0:
            status = f"{_SYMBOLS[int(state.winner)]} wins"
        else:
            goal = ("top to bottom", "left to right")[int(state.player)]
            status = f"{_SYMBOLS[int(state.player)]} to move ({goal})"
        return "\n".join([letters, *lines, status])

    def action_to_string(self, state: HexState, action: int) -> str:
        """Returns column and row, "a1" at the top left, or "swap"."""
        if action == self._cells:
            return "swap"
        return f"{_LETTERS[action % self.size]}{action // self.size + 1}"

    def board(self, state: HexState) -> BoardView:
        """Returns the cells, each row half a cell to the right of the one above it.

        Odd rows lie half a cell to the right anyhow, so every second row begins a column later;
        what is left over is "void". The swap needs no click: its key is the empty tuple.
        """
        columns = self.size + (self.size - 1) // 2
        places = [
            row * columns + column + row // 2
            for row in range(self.size)
            for column in range(self.size)
        ]
        cells = ["void"] * (self.size * columns)
        for place, piece in zip(places, self._pieces(state, _PIECES, ""), strict=True):
            cells[place] = piece
        legal = legal_actions(self, state) if int(state.winner) < 0 else []
        clicks: dict[tuple[int, ...], int] = {
            () if action == self._cells else (places[action],): action for action in legal
        }
        return BoardView(
            kind="hex",
            rows=self.size,
            columns=columns,
            cells=cells,
            clicks=clicks,
            players=_PIECES,
            goals={"top": 0, "bottom": 0, "left": 1, "right": 1},
            row_labels=[str(row + 1) for row in range(self.size)],
            column_labels=[*_LETTERS[: self.size], *[""] * (columns - self.size)],
        )

    def solve(self, state: HexState) -> Solution | None:
        """Returns the exact solution, or None if it takes more than 20,000 positions to find."""
        groups = state.board.tolist()
        red = [cell for cell, group in enumerate(groups) if group > 0]
        blue = [cell for cell, group in enumerate(groups) if group < 0]
        if self.swap and not red and not blue:
            if self.size > _LARGEST_SOLVED:
                return None
            # Whoever may choose the side after the first stone chooses the one that wins.
            return Solution(value=-1.0, actions=tuple(range(self._cells)))
        player = int(state.player)
        own, opponent = (red, blue) if player == 0 else (blue, red)
        solver = HexSolver(self.size)
        replies = solver.replies(player, own, opponent)
        if self.swap and player == 1 and len(red) + len(blue) == 1:
            replies.append(solver.swapped(red[0]))
        return solver.solve(replies, max_positions=_SOLVER_LIMIT)

    def _side(self, line: int) -> int:
        """Returns 1 on the first row or column, 2 on the last, 0 between."""
        return 1 if line == 0 else 2 if line == self.size - 1 else 0

    def _may_swap(self, state: HexState) -> Bool[Array, ""]:
        """Returns whether the mover is the second player before the first move."""
        one_stone = (state.board != 0).sum(dtype=jnp.int32) == 1
        return jnp.bool_(self.swap) & one_stone & (state.player == 1)

    def _pieces(self, state: HexState, names: Sequence[str], empty: str) -> list[str]:
        """Returns what stands on every cell, on the host."""
        return [
            names[0] if group > 0 else names[1] if group < 0 else empty
            for group in state.board.tolist()
        ]
