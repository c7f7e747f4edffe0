"""Gomoku: place stones in turn; five of a colour in a line win."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key, UInt, UInt32

from selfplay.errors import ConfigError
from selfplay.game import BoardView, Game, GridTurn, Symmetry, grid_symmetries, pytree

_SYMBOLS = ("x", "o")
_PIECES = ("black", "white")
_LETTERS = "abcdefghijklmnopqrs"
_LINE = 5
# Across, down, and the two diagonals: rows down and columns to the right.
_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))


@pytree
class GomokuState:
    """A position: 15 by 15 needs 62 bytes.

    Attributes:
        stones: each player's stones as bits, one word per row from the top, column a in bit 0.
        player: who is to move.
        winner: -1 until somebody has a line.
    """

    stones: UInt[Array, "2 size"]
    player: Int8[Array, ""]
    winner: Int8[Array, ""]


class Gomoku(Game[GomokuState]):
    """Five in a line on a square board, without forbidden moves; player 0 (x, black) begins.

    Args:
        size: side of the board, 5 to 19.
        exactly_five: whether a line of six or more does not win.
    """

    name = "gomoku"

    def __init__(self, size: int = 15, exactly_five: bool = False) -> None:
        if not _LINE <= size <= 19:
            raise ConfigError(f"gomoku: size is {size}, but must be between 5 and 19")
        self.size = size
        self.exactly_five = exactly_five
        self.num_actions = size * size
        self.max_plies = size * size
        self._word = jnp.uint16 if size <= 16 else jnp.uint32

    def init(self, key: Key[Array, ""]) -> GomokuState:
        """Returns the empty board."""
        return GomokuState(
            stones=jnp.zeros((2, self.size), self._word),
            player=jnp.int8(0),
            winner=jnp.int8(-1),
        )

    def step(self, state: GomokuState, action: Int32[Array, ""]) -> GomokuState:
        """Returns the position after a stone on cell `action`."""
        own, opponent = _by_mover(state)
        bit = jnp.uint32(1) << (action % self.size).astype(jnp.uint32)
        rows = jnp.arange(self.size, dtype=jnp.int32)
        own = own | jnp.where(rows == action // self.size, bit, jnp.uint32(0))
        first = state.player == 0
        stones = jnp.stack([jnp.where(first, own, opponent), jnp.where(first, opponent, own)])
        return GomokuState(
            stones=stones.astype(state.stones.dtype),
            player=1 - state.player,
            winner=jnp.where(self._has_line(own), state.player, state.winner),
        )

    def current_player(self, state: GomokuState) -> Int32[Array, ""]:
        """Returns who is to move; the players take turns."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: GomokuState) -> Bool[Array, " A"]:
        """Returns the empty cells."""
        return ~self._grid(state.stones[0] | state.stones[1]).reshape(-1)

    def is_terminal(self, state: GomokuState) -> Bool[Array, ""]:
        """Returns whether there is a line or the board is full."""
        full = state.stones[0] | state.stones[1] == (1 << self.size) - 1
        return (state.winner >= 0) | full.all()

    def returns(self, state: GomokuState) -> Float32[Array, "2"]:
        """Returns 1 for the winner and -1 for the other, or 0 for both."""
        won = jnp.arange(2, dtype=jnp.int8) == state.winner
        return jnp.where(state.winner < 0, 0.0, jnp.where(won, 1.0, -1.0)).astype(jnp.float32)

    def observe(self, state: GomokuState) -> Float32[Array, "size size 2"]:
        """Returns two planes: the mover's stones and the opponent's."""
        planes = [self._grid(stones) for stones in _by_mover(state)]
        return jnp.stack(planes, axis=-1).astype(jnp.float32)

    def symmetries(self) -> Sequence[Symmetry[GomokuState]]:
        """Returns the seven rotations and reflections of the square."""

        def map_state(state: GomokuState, turn: GridTurn) -> GomokuState:
            columns = jnp.arange(self.size, dtype=jnp.uint32)[None]
            boards = []
            for player in range(2):
                bits = turn(self._grid(state.stones[player])).astype(jnp.uint32) << columns
                boards.append(bits.sum(axis=1, dtype=jnp.uint32).astype(state.stones.dtype))
            return GomokuState(stones=jnp.stack(boards), player=state.player, winner=state.winner)

        return grid_symmetries(self.size, self.size, map_state)

    def render(self, state: GomokuState) -> str:
        """Returns the board with its coordinates, and who is to move or has won."""
        width = len(str(self.size))
        cells = self._pieces(state, _SYMBOLS, ".")
        lines = [
            f"{self.size - row:>{width}} " + " ".join(cells[row * self.size :][: self.size])
            for row in range(self.size)
        ]
        letters = " " * (width + 1) + " ".join(_LETTERS[: self.size])
        if int(state.winner) >= 0:
            status = f"{_SYMBOLS[int(state.winner)]} wins"
        elif "." not in cells:
            status = "draw"
        else:
            status = f"{_SYMBOLS[int(state.player)]} to move"
        return "\n".join([*lines, letters, status])

    def action_to_string(self, state: GomokuState, action: int) -> str:
        """Returns column and row, "a1" at the bottom left."""
        return f"{_LETTERS[action % self.size]}{self.size - action // self.size}"

    def board(self, state: GomokuState) -> BoardView:
        """Returns the cells; a click on an empty one places a stone."""
        cells = self._pieces(state, _PIECES, "")
        playable = range(self.num_actions) if int(state.winner) < 0 else []
        edge, middle = (3 if self.size > 11 else 2), self.size // 2
        stars = (edge, middle, self.size - 1 - edge)
        return BoardView(
            kind="lines",
            rows=self.size,
            columns=self.size,
            cells=cells,
            clicks={(cell,): cell for cell in playable if not cells[cell]},
            players=_PIECES,
            shaded={self.size * row + column for row in stars for column in stars},
            highlights=self._line(cells) if int(state.winner) >= 0 else (),
            row_labels=[str(self.size - row) for row in range(self.size)],
            column_labels=_LETTERS[: self.size],
        )

    def _line(self, cells: Sequence[str]) -> list[int]:
        """Returns the cells of every five in a line, on the host."""
        found = set()
        for cell, piece in enumerate(cells):
            row, column = divmod(cell, self.size)
            for down, right in _DIRECTIONS:
                ends = (row + (_LINE - 1) * down, column + (_LINE - 1) * right)
                if not piece or not all(0 <= end < self.size for end in ends):
                    continue
                line = [cell + step * (self.size * down + right) for step in range(_LINE)]
                if all(cells[one] == piece for one in line):
                    found |= set(line)
        return sorted(found)

    def _has_line(self, stones: UInt32[Array, " size"]) -> Bool[Array, ""]:
        """Returns whether one player's stones hold a line that wins."""
        # A margin around the board, so that lines can be looked at beyond their ends.
        board = jnp.pad(stones << _LINE, _LINE)

        def moved(direction: tuple[int, int], count: int) -> UInt32[Array, " size"]:
            """Returns, for each cell, the stone `count` cells further in a direction."""
            down, right = direction[0] * count, direction[1] * count
            rows = board[_LINE + down : _LINE + down + self.size]
            return rows >> right if right >= 0 else rows << -right

        found = jnp.zeros_like(stones)
        for direction in _DIRECTIONS:
            line = moved(direction, 0)
            for count in range(1, _LINE):
                line = line & moved(direction, count)
            if self.exactly_five:
                line = line & ~moved(direction, -1) & ~moved(direction, _LINE)
            found = found | line
        return (found != 0).any()

    def _grid(self, stones: UInt[Array, " size"]) -> Bool[Array, "size size"]:
        """Returns a set of cells as an array."""
        columns = jnp.arange(self.size, dtype=jnp.uint32)[None]
        return stones.astype(jnp.uint32)[:, None] >> columns & 1 != 0

    def _pieces(self, state: GomokuState, names: Sequence[str], empty: str) -> list[str]:
        """Returns what stands on every cell, on the host."""
        black, white = state.stones.tolist()
        return [
            names[0]
            if black[row] >> column & 1
            else names[1]
            if white[row] >> column & 1
            else empty
            for row in range(self.size)
            for column in range(self.size)
        ]


def _by_mover(state: GomokuState) -> tuple[UInt32[Array, " size"], UInt32[Array, " size"]]:
    """Returns the stones of the player to move, then the opponent's."""
    first = state.player == 0
    black, white = (state.stones[player].astype(jnp.uint32) for player in range(2))
    return jnp.where(first, black, white), jnp.where(first, white, black)
