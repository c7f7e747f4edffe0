"""Breakthrough: walk forward, capture on the diagonal; the first piece across the board wins."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key, UInt, UInt32

from selfplay.errors import ConfigError
from selfplay.game import (
    BoardView,
    Game,
    Reply,
    Solution,
    Symmetry,
    legal_actions,
    pytree,
    solve_exactly,
)

_SYMBOLS = ("x", "o")
_PIECES = ("white", "black")
_LETTERS = "abcdefghijklmnop"
# Columns to the right: the three ways to step forward.
_WAYS = (-1, 0, 1)
_SOLVER_LIMIT = 20_000


@pytree
class BreakthroughState:
    """A position: 8 by 8 needs 18 bytes.

    Attributes:
        pieces: each player's pieces as bits, one word per row from the top, column a in bit 0.
        player: who is to move.
        winner: -1 until somebody is across or has captured everything.
    """

    pieces: UInt[Array, "2 rows"]
    player: Int8[Array, ""]
    winner: Int8[Array, ""]


class Breakthrough(Game[BreakthroughState]):
    """Two rows of pieces each; player 0 (x, white) begins below and walks up.

    Args:
        rows: height of the board, 4 to 16.
        columns: width of the board, 2 to 16.
    """

    name = "breakthrough"

    def __init__(self, rows: int = 8, columns: int = 8) -> None:
        for option, value, low in (("rows", rows, 4), ("columns", columns, 2)):
            if not low <= value <= 16:
                raise ConfigError(
                    f"breakthrough: {option} is {value}, but must be between {low} and 16"
                )
        self.rows = rows
        self.columns = columns
        self.num_actions = rows * columns * len(_WAYS)
        # A piece takes as many steps as there are rows before it and one less, for the last one
        # ends the match.
        self.max_plies = 2 * columns * (2 * rows - 5) + 1
        self._word = jnp.uint8 if columns <= 8 else jnp.uint16
        # Masks of the solver, whose rows have one more bit that is always empty.
        self._stride = columns + 1
        row = (1 << columns) - 1
        self._board = sum(row << self._stride * index for index in range(rows))
        self._goals = (row, row << self._stride * (rows - 1))
        self._last_steps = (row << self._stride, row << self._stride * (rows - 2))

    def init(self, key: Key[Array, ""]) -> BreakthroughState:
        """Returns two full rows on either side."""
        full = (1 << self.columns) - 1
        above, below = [full, full, *[0] * (self.rows - 2)], [*[0] * (self.rows - 2), full, full]
        return BreakthroughState(
            pieces=jnp.array([below, above], self._word),
            player=jnp.int8(0),
            winner=jnp.int8(-1),
        )

    def step(self, state: BreakthroughState, action: Int32[Array, ""]) -> BreakthroughState:
        """Returns the position after piece `action // 3` has stepped forward, way `action % 3`."""
        cell, way = action // len(_WAYS), action % len(_WAYS)
        row, column = cell // self.columns, cell % self.columns
        first = state.player == 0
        left = self._at(row, column)
        reached = self._at(row + jnp.where(first, -1, 1), column + way - 1)
        own, opponent = _by_mover(state)
        own, opponent = own & ~left | reached, opponent & ~reached
        pieces = jnp.stack([jnp.where(first, own, opponent), jnp.where(first, opponent, own)])
        across = jnp.where(first, own[0], own[-1]) != 0
        wins = across | ~(opponent != 0).any()
        return BreakthroughState(
            pieces=pieces.astype(state.pieces.dtype),
            player=1 - state.player,
            winner=jnp.where(wins, state.player, state.winner),
        )

    def current_player(self, state: BreakthroughState) -> Int32[Array, ""]:
        """Returns who is to move; the players take turns."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: BreakthroughState) -> Bool[Array, " A"]:
        """Returns the steps to an empty cell, or on a diagonal to one of the opponent's."""
        own, opponent = _by_mover(state)
        edge = jnp.zeros(1, jnp.uint32)
        first = state.player == 0

        def ahead(cells: UInt32[Array, " rows"]) -> UInt32[Array, " rows"]:
            """Returns, for each cell, the one straight before it; none beyond the board."""
            above = jnp.concatenate([edge, cells[:-1]])
            below = jnp.concatenate([cells[1:], edge])
            return jnp.where(first, above, below)

        board = jnp.full(self.rows, (1 << self.columns) - 1, jnp.uint32)
        straight, diagonal = ahead(board & ~(own | opponent)), ahead(board & ~own)
        steps = [own & diagonal << 1, own & straight, own & diagonal >> 1]
        return jnp.stack([self._grid(cells) for cells in steps], axis=-1).reshape(-1)

    def is_terminal(self, state: BreakthroughState) -> Bool[Array, ""]:
        """Returns whether somebody has won; whoever has a piece can move."""
        return state.winner >= 0

    def returns(self, state: BreakthroughState) -> Float32[Array, "2"]:
        """Returns 1 for the winner and -1 for the other; 0 for both while nobody has won."""
        won = jnp.arange(2, dtype=jnp.int8) == state.winner
        return jnp.where(state.winner < 0, 0.0, jnp.where(won, 1.0, -1.0)).astype(jnp.float32)

    def observe(self, state: BreakthroughState) -> Float32[Array, "rows columns 3"]:
        """Returns three planes: the mover's pieces, the opponent's, whether the mover walks up."""
        planes = [self._grid(pieces) for pieces in _by_mover(state)]
        upward = jnp.broadcast_to(state.player == 0, planes[0].shape)
        return jnp.stack([*planes, upward], axis=-1).astype(jnp.float32)

    def symmetries(self) -> Sequence[Symmetry[BreakthroughState]]:
        """Returns the mirror image."""

        def mirror(state: BreakthroughState) -> BreakthroughState:
            columns = jnp.arange(self.columns, dtype=jnp.uint32)[None]
            boards = []
            for player in range(2):
                bits = self._grid(state.pieces[player])[:, ::-1].astype(jnp.uint32) << columns
                boards.append(bits.sum(axis=1, dtype=jnp.uint32).astype(state.pieces.dtype))
            return BreakthroughState(
                pieces=jnp.stack(boards), player=state.player, winner=state.winner
            )

        permutation = [
            len(_WAYS) * (row * self.columns + self.columns - 1 - column) + 2 - way
            for row in range(self.rows)
            for column in range(self.columns)
            for way in range(len(_WAYS))
        ]
        return (Symmetry(name="mirror", map_state=mirror, permutation=permutation),)

    def render(self, state: BreakthroughState) -> str:
        """Returns the board with its coordinates, and who is to move or has won."""
        width = len(str(self.rows))
        cells = self._names(state, _SYMBOLS, ".")
        lines = [
            f"{self.rows - row:>{width}} " + " ".join(cells[row * self.columns :][: self.columns])
            for row in range(self.rows)
        ]
        letters = " " * (width + 1) + " ".join(_LETTERS[: self.columns])
        if int(state.winner) >= 0:
            status = f"{_SYMBOLS[int(state.winner)]} wins"
        else:
            way = ("up", "down")[int(state.player)]
            status = f"{_SYMBOLS[int(state.player)]} to move ({way})"
        return "\n".join([*lines, letters, status])

    def action_to_string(self, state: BreakthroughState, action: int) -> str:
        """Returns the cells left and reached, such as "a2b3"; "a1" is at the bottom left."""
        return "".join(
            f"{_LETTERS[cell % self.columns]}{self.rows - cell // self.columns}"
            for cell in self._path(state, action)
        )

    def board(self, state: BreakthroughState) -> BoardView:
        """Returns the cells; a click on a piece, then one on the cell it shall reach."""
        legal = legal_actions(self, state) if int(state.winner) < 0 else []
        return BoardView(
            kind="square",
            rows=self.rows,
            columns=self.columns,
            cells=self._names(state, _PIECES, ""),
            clicks={self._path(state, action): action for action in legal},
            players=_PIECES,
            shaded=[
                cell
                for cell in range(self.rows * self.columns)
                if (cell // self.columns + cell % self.columns) % 2 != self.rows % 2
            ],
            row_labels=[str(self.rows - row) for row in range(self.rows)],
            column_labels=_LETTERS[: self.columns],
        )

    def solve(self, state: BreakthroughState) -> Solution | None:
        """Returns the exact solution, or None if it takes more than 20,000 positions to find."""
        player = int(state.player)
        own, opponent = (
            sum(word << self._stride * row for row, word in enumerate(state.pieces[side].tolist()))
            for side in (player, 1 - player)
        )
        replies = self._replies(_Pieces(player, own, opponent))
        return solve_exactly(replies, self._expand, max_positions=_SOLVER_LIMIT)

    def _expand(self, pieces: "_Pieces") -> float | list[Reply]:
        """Returns the value where it is plain to see, else what follows each step, on the host."""
        player, own, opponent = pieces
        if not own or opponent & self._goals[1 - player]:
            return -1.0
        if own & self._last_steps[player]:
            return 1.0  # from the row before the last there is always a step, a diagonal one
        return self._replies(pieces)

    def _replies(self, pieces: "_Pieces") -> list[Reply]:
        """Returns what follows each step, captures first, then those of the farthest pieces."""
        player, own, opponent = pieces
        found = []
        forward = self._stride if player else -self._stride
        for cell in range(self.rows * self.columns):
            row, column = divmod(cell, self.columns)
            here = 1 << self._stride * row + column
            if not own & here:
                continue
            for way, right in enumerate(_WAYS):
                there = _shifted(here, forward + right) & self._board & ~own
                captures = bool(there & opponent)
                if there and not (captures and right == 0):
                    position = _Pieces(1 - player, opponent & ~there, own & ~here | there)
                    rank = (captures, row if player else -row)
                    found.append((rank, Reply(len(_WAYS) * cell + way, position)))
        found.sort(key=_promise, reverse=True)
        return [reply for _, reply in found]

    def _path(self, state: BreakthroughState, action: int) -> tuple[int, int]:
        """Returns the cells that an action leaves and reaches, on the host."""
        cell, way = divmod(action, len(_WAYS))
        forward = self.columns if int(state.player) else -self.columns
        return cell, cell + forward + _WAYS[way]

    def _at(self, row: Int32[Array, ""], column: Int32[Array, ""]) -> UInt32[Array, " rows"]:
        """Returns the set of one cell."""
        bit = jnp.uint32(1) << column.astype(jnp.uint32)
        return jnp.where(jnp.arange(self.rows, dtype=jnp.int32) == row, bit, jnp.uint32(0))

    def _grid(self, cells: UInt[Array, " rows"]) -> Bool[Array, "rows columns"]:
        """Returns a set of cells as an array."""
        columns = jnp.arange(self.columns, dtype=jnp.uint32)[None]
        return cells.astype(jnp.uint32)[:, None] >> columns & 1 != 0

    def _names(self, state: BreakthroughState, names: Sequence[str], empty: str) -> list[str]:
        """Returns what stands on every cell, on the host."""
        white, black = state.pieces.tolist()
        return [
            names[0]
            if white[row] >> column & 1
            else names[1]
            if black[row] >> column & 1
            else empty
            for row in range(self.rows)
            for column in range(self.columns)
        ]


class _Pieces(NamedTuple):
    """A position on the host; pieces are bit masks of cells.

    Attributes:
        player: who is to move: 0 walks up, 1 down.
        own: pieces of the player to move.
        opponent: the other pieces.
    """

    player: int
    own: int
    opponent: int


def _promise(ranked: tuple[tuple[bool, int], Reply]) -> tuple[bool, int]:
    return ranked[0]


def _shifted(cells: int, by: int) -> int:
    return cells << by if by >= 0 else cells >> -by


def _by_mover(
    state: BreakthroughState,
) -> tuple[UInt32[Array, " rows"], UInt32[Array, " rows"]]:
    """Returns the pieces of the player to move, then the opponent's."""
    first = state.player == 0
    white, black = (state.pieces[player].astype(jnp.uint32) for player in range(2))
    return jnp.where(first, white, black), jnp.where(first, black, white)
