"""Connect Four: drop discs into columns until four of a colour stand in a line."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key, UInt8

from selfplay.errors import ConfigError
from selfplay.game import BoardView, Game, Solution, Symmetry, pytree
from selfplay.games.connect_four_solver import ConnectFourSolver

_SYMBOLS = ("x", "o")
_PIECES = ("yellow", "red")
_SOLVER_LIMIT = 50_000


@pytree
class ConnectFourState:
    """A position in 16 bytes.

    Attributes:
        discs: for each player and column the discs as a bit mask, the bottom row in bit 0.
        player: who is to move.
        winner: -1 until somebody has four in a line.
    """

    discs: UInt8[Array, "2 columns"]
    player: Int8[Array, ""]
    winner: Int8[Array, ""]


class ConnectFour(Game[ConnectFourState]):
    """Four in a line on an upright board; player 0 (x, yellow) begins.

    Args:
        rows: height of the board, 4 to 8.
        columns: width of the board, 4 to 16.
        threats: whether agents see more than the discs, see `observe`.
    """

    name = "connect_four"
    title = "Connect Four"
    version = 2
    suite_file = "suites/connect_four.txt"

    def __init__(self, rows: int = 6, columns: int = 7, threats: bool = True) -> None:
        for option, value, high in (("rows", rows, 8), ("columns", columns, 16)):
            if not 4 <= value <= high:
                raise ConfigError(
                    f"connect_four: {option} is {value}, but must be between 4 and {high}"
                )
        self.rows = rows
        self.columns = columns
        self.threats = threats
        self.num_actions = columns
        self.max_plies = rows * columns

    def init(self, key: Key[Array, ""]) -> ConnectFourState:
        """Returns the empty board."""
        return ConnectFourState(
            discs=jnp.zeros((2, self.columns), jnp.uint8),
            player=jnp.int8(0),
            winner=jnp.int8(-1),
        )

    def step(self, state: ConnectFourState, action: Int32[Array, ""]) -> ConnectFourState:
        """Returns the position after a disc has fallen into column `action`."""
        # A column fills from the bottom, so its mask plus one is the cell where a disc lands.
        landing = (state.discs[0] | state.discs[1]) + jnp.uint8(1)
        dropped = jnp.where(jnp.arange(self.columns) == action, landing, jnp.uint8(0))
        own, opponent = _by_mover(state)
        own = own | dropped
        first = state.player == 0
        return ConnectFourState(
            discs=jnp.stack([jnp.where(first, own, opponent), jnp.where(first, opponent, own)]),
            player=1 - state.player,
            winner=jnp.where(_has_four(own), state.player, state.winner),
        )

    def current_player(self, state: ConnectFourState) -> Int32[Array, ""]:
        """Returns who is to move; the players take turns."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: ConnectFourState) -> Bool[Array, " columns"]:
        """Returns the columns that are not full."""
        return (state.discs[0] | state.discs[1]) >> (self.rows - 1) == 0

    def is_terminal(self, state: ConnectFourState) -> Bool[Array, ""]:
        """Returns whether there is a line of four or the board is full."""
        return (state.winner >= 0) | ~self.legal_action_mask(state).any()

    def returns(self, state: ConnectFourState) -> Float32[Array, "2"]:
        """Returns 1 for the winner and -1 for the other, or 0 for both."""
        won = jnp.arange(2) == state.winner
        return jnp.where(state.winner < 0, 0.0, jnp.where(won, 1.0, -1.0)).astype(jnp.float32)

    def observe(self, state: ConnectFourState) -> Float32[Array, "rows columns planes"]:
        """Returns planes, the top row first: the mover's discs and the opponent's.

        With `threats` three more: the free cells, playable now or later, in which a disc would
        make four for the mover, those in which it would for the opponent, and ones if the mover
        began the match. Who profits from a threat depends on its row and on who began; a network
        would have to find that in the parity of the number of discs.
        """
        own, opponent = _by_mover(state)
        masks = [own, opponent]
        if self.threats:
            free = ~(own | opponent)
            masks += [_completing(own) & free, _completing(opponent) & free]
        # One word a column, as a sum, which XLA computes once: other operations it would join to
        # the next lines and repeat for every cell and plane.
        places = 8 * jnp.arange(len(masks), dtype=jnp.uint32)
        shifted = jnp.stack(masks).astype(jnp.uint32) << places[:, None]
        words = shifted.sum(axis=0, dtype=jnp.uint32)[None, :, None]
        heights = jnp.arange(self.rows - 1, -1, -1, dtype=jnp.uint32)
        planes = words >> (heights[:, None, None] + places[None, None, :]) & 1
        if self.threats:
            began = (state.player == 0).astype(jnp.uint32)
            planes = jnp.concatenate(
                [planes, jnp.broadcast_to(began, (self.rows, self.columns, 1))], axis=-1
            )
        return planes.astype(jnp.float32)

    def symmetries(self) -> Sequence[Symmetry[ConnectFourState]]:
        """Returns the mirror image."""

        def mirror(state: ConnectFourState) -> ConnectFourState:
            return ConnectFourState(
                discs=state.discs[:, ::-1], player=state.player, winner=state.winner
            )

        permutation = tuple(reversed(range(self.columns)))
        return (Symmetry(name="mirror", map_state=mirror, permutation=permutation),)

    def render(self, state: ConnectFourState) -> str:
        """Returns the board over its column numbers, and who is to move or has won."""
        width = len(str(self.columns))
        rows = self._cells(state)
        lines = [
            " ".join(f"{'.' if cell < 0 else _SYMBOLS[cell]:>{width}}" for cell in row)
            for row in rows
        ]
        numbers = " ".join(f"{column + 1:>{width}}" for column in range(self.columns))
        if int(state.winner) >= 0:
            status = f"{_SYMBOLS[int(state.winner)]} wins"
        elif all(cell >= 0 for cell in rows[0]):
            status = "draw"
        else:
            status = f"{_SYMBOLS[int(state.player)]} to move"
        return "\n".join([*lines, numbers, status])

    def action_to_string(self, state: ConnectFourState, action: int) -> str:
        """Returns the number of the column, counted from 1 at the left."""
        return str(action + 1)

    def board(self, state: ConnectFourState) -> BoardView:
        """Returns the cells; a click anywhere in a column that is not full drops a disc there."""
        rows = self._cells(state)
        playable = range(self.columns) if int(state.winner) < 0 else []
        return BoardView(
            kind="square",
            rows=self.rows,
            columns=self.columns,
            cells=["" if cell < 0 else _PIECES[cell] for row in rows for cell in row],
            clicks={
                (row * self.columns + column,): column
                for column in playable
                if rows[0][column] < 0
                for row in range(self.rows)
            },
            players=_PIECES,
            highlights=self._line(rows) if int(state.winner) >= 0 else (),
            column_labels=[str(column + 1) for column in range(self.columns)],
        )

    def solve(self, state: ConnectFourState) -> Solution | None:
        """Returns the exact solution, or None if it takes more than 50,000 positions to find."""
        player = int(state.player)
        discs = state.discs.tolist()
        solver = ConnectFourSolver(self.rows, self.columns)
        return solver.solve(discs[player], discs[1 - player], max_positions=_SOLVER_LIMIT)

    def _line(self, rows: list[list[int]]) -> list[int]:
        """Returns the cells of every four in a line, on the host."""
        found = set()
        for row in range(self.rows):
            for column in range(self.columns):
                for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                    last_row, last_column = row + 3 * down, column + 3 * right
                    if last_row >= self.rows or not 0 <= last_column < self.columns:
                        continue
                    line = [(row + step * down, column + step * right) for step in range(4)]
                    if len({rows[r][c] for r, c in line}) == 1 and rows[row][column] >= 0:
                        found |= {r * self.columns + c for r, c in line}
        return sorted(found)

    def _cells(self, state: ConnectFourState) -> list[list[int]]:
        """Returns -1, 0 or 1 for every cell, the top row first, on the host."""
        yellow, red = state.discs.tolist()
        return [
            [0 if first >> row & 1 else 1 if second >> row & 1 else -1
             for first, second in zip(yellow, red, strict=True)]
            for row in reversed(range(self.rows))
        ]  # fmt: skip


def _by_mover(
    state: ConnectFourState,
) -> tuple[UInt8[Array, " columns"], UInt8[Array, " columns"]]:
    """Returns the discs of the player to move, then the opponent's."""
    # Two selects: an index by player would become a gather in the batched search.
    first = state.player == 0
    return (
        jnp.where(first, state.discs[0], state.discs[1]),
        jnp.where(first, state.discs[1], state.discs[0]),
    )


def _has_four(discs: UInt8[Array, " columns"]) -> Bool[Array, ""]:
    """Returns whether one player's discs hold four in a line."""
    upright = discs & discs >> 1 & discs >> 2 & discs >> 3
    starts = discs.shape[0] - 3
    one, two, three, four = (discs[offset : offset + starts] for offset in range(4))
    across = (
        (one & two & three & four)
        | (one & two >> 1 & three >> 2 & four >> 3)
        | (one & two << 1 & three << 2 & four << 3)
    )
    return (upright != 0).any() | (across != 0).any()


def _completing(discs: UInt8[Array, " columns"]) -> UInt8[Array, " columns"]:
    """Returns the cells that would make four in a line with three of these discs."""
    found = discs << 1 & discs << 2 & discs << 3
    columns = discs.shape[0]
    beside = jnp.pad(discs, 3)
    for slope in (-1, 0, 1):
        near = {}
        for step in (-3, -2, -1, 1, 2, 3):
            column = beside[3 + step : 3 + step + columns]
            rise = slope * step
            near[step] = column >> rise if rise >= 0 else column << -rise
        for others in ((-3, -2, -1), (-2, -1, 1), (-1, 1, 2), (1, 2, 3)):
            found |= near[others[0]] & near[others[1]] & near[others[2]]
    return found
