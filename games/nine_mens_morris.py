"""Nine men's morris: three stones in a row remove one of the opponent's."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key, UInt8, UInt32

from selfplay.errors import ConfigError
from selfplay.game import BoardView, Game, Symmetry, legal_actions, pytree

_SYMBOLS = ("x", "o")
_PIECES = ("white", "black")
_POINTS = 24
# What the player to move does; a stone that was lifted is told by the point it came from.
_PLACE_OR_LIFT = -1
_REMOVE = 24

# A set of points is one word of 24 bits: the outer, the middle and the inner square, 8 bits each,
# clockwise from the top left corner. Corners have even numbers, the middles of sides odd ones.
_ALL = 0xFFFFFF
_CORNERS = 0x555555
_MIDDLES = 0xAAAAAA
# Where the points lie on a 7 by 7 grid: row and column from the top left.
_PLACES = tuple(
    (3 + down * (3 - ring), 3 + right * (3 - ring))
    for ring in range(3)
    for down, right in ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
)


@pytree
class NineMensMorrisState:
    """A position in 12 bytes.

    Attributes:
        stones: each player's stones on the board, as bits; a lifted stone is on neither's.
        placed: stones placed by both players together.
        task: -1 to place a stone or lift one, 0 to 23 to put down the stone lifted there, 24 to
            remove one of the opponent's.
        quiet: moves since the last removal, of both players together; 0 while stones are placed.
        player: who is to move.
    """

    stones: UInt32[Array, "2"]
    placed: UInt8[Array, ""]
    task: Int8[Array, ""]
    quiet: UInt8[Array, ""]
    player: Int8[Array, ""]


class NineMensMorris(Game[NineMensMorrisState]):
    """Nine men's morris, also called mill; player 0 (x, white) begins.

    A move along a line takes two plies: lift a stone, put it down. A removal is one more.

    Args:
        stones: stones of each player, 3 to 9.
        flying: whether a player with three stones left may move them anywhere.
        quiet_limit: moves of both players together without a removal until the match is drawn,
            1 to 255.
    """

    name = "nine_mens_morris"
    title = "Nine men's morris"
    num_actions = _POINTS

    def __init__(self, stones: int = 9, flying: bool = True, quiet_limit: int = 50) -> None:
        for option, value, low, high in (
            ("stones", stones, 3, 9), ("quiet_limit", quiet_limit, 1, 255)
        ):  # fmt: skip
            if not low <= value <= high:
                raise ConfigError(
                    f"nine_mens_morris: {option} is {value}, but must be between {low} and {high}"
                )
        self.stones = stones
        self.flying = flying
        self.quiet_limit = quiet_limit
        # The last removal leaves the loser two stones, the winner at least three.
        removals = 2 * stones - 5
        self.max_plies = 2 * stones + removals + 2 * quiet_limit * removals

    def init(self, key: Key[Array, ""]) -> NineMensMorrisState:
        """Returns the empty board."""
        return NineMensMorrisState(
            stones=jnp.zeros((2,), jnp.uint32),
            placed=jnp.uint8(0),
            task=jnp.int8(_PLACE_OR_LIFT),
            quiet=jnp.uint8(0),
            player=jnp.int8(0),
        )

    def step(self, state: NineMensMorrisState, action: Int32[Array, ""]) -> NineMensMorrisState:
        """Returns the position after placing, lifting, putting down or removing a stone."""
        own, opponent = _by_mover(state)
        point = jnp.uint32(1) << action.astype(jnp.uint32)
        removes = state.task == _REMOVE
        places = (state.task == _PLACE_OR_LIFT) & self._is_placing(state)
        lifts = (state.task == _PLACE_OR_LIFT) & ~places
        puts_down = ~removes & ~lifts & ~places

        own = jnp.where(removes, own, jnp.where(lifts, own & ~point, own | point))
        opponent = jnp.where(removes, opponent & ~point, opponent)
        closes = (places | puts_down) & (_mills(own) & point != 0)
        task = jnp.where(closes, jnp.int8(_REMOVE), jnp.int8(_PLACE_OR_LIFT))
        first = state.player == 0
        return NineMensMorrisState(
            stones=jnp.stack([jnp.where(first, own, opponent), jnp.where(first, opponent, own)]),
            placed=state.placed + places.astype(jnp.uint8),
            task=jnp.where(lifts, action.astype(jnp.int8), task),
            quiet=jnp.where(removes, jnp.uint8(0), state.quiet + puts_down.astype(jnp.uint8)),
            player=jnp.where(lifts | closes, state.player, 1 - state.player),
        )

    def current_player(self, state: NineMensMorrisState) -> Int32[Array, ""]:
        """Returns who is to move: the same player after lifting a stone or closing a mill."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: NineMensMorrisState) -> Bool[Array, "24"]:
        """Returns the points where a stone may be placed, lifted, put down or removed."""
        own, opponent = _by_mover(state)
        empty = ~(own | opponent) & _ALL
        is_lifted = (state.task >= 0) & (state.task < _POINTS)
        # Shifted by a number in range whatever the task; used only if a stone is lifted.
        origin = jnp.uint32(1) << (state.task % _POINTS).astype(jnp.uint32)
        near = jnp.where(self._flies(own | origin), empty & ~origin, _neighbours(origin) & empty)
        place_or_lift = jnp.where(self._is_placing(state), empty, self._movable(own, opponent))
        # Stones in mills are safe unless there are no others.
        unsafe = opponent & ~_mills(opponent)
        removable = jnp.where(unsafe == 0, opponent, unsafe)
        points = jnp.where(
            state.task == _REMOVE, removable, jnp.where(is_lifted, near, place_or_lift)
        )
        return _bits(points)

    def is_terminal(self, state: NineMensMorrisState) -> Bool[Array, ""]:
        """Returns whether the player to move has lost, or too many moves removed nothing."""
        is_quiet = (state.task == _PLACE_OR_LIFT) & (state.quiet >= self.quiet_limit)
        return self._has_lost(state) | is_quiet

    def returns(self, state: NineMensMorrisState) -> Float32[Array, "2"]:
        """Returns -1 for a player with two stones or no move and 1 for the other, else 0."""
        result = jnp.where(state.player == 0, -1.0, 1.0) * self._has_lost(state)
        return jnp.stack([result, -result]).astype(jnp.float32)

    def observe(self, state: NineMensMorrisState) -> Float32[Array, "3 8 9"]:
        """Returns nine planes, a row for each square and a column for each point on it.

        The mover's stones, the opponent's, where the lifted stone came from; then constants: to
        place, to put down, to remove, each player's stones still to be placed as a share of all,
        and the quiet moves as a share of the limit.
        """
        own, opponent = _by_mover(state)
        is_lifted = (state.task >= 0) & (state.task < _POINTS)
        is_free = state.task == _PLACE_OR_LIFT
        points = [_bits(own), _bits(opponent), jnp.arange(_POINTS) == state.task]
        # The players place in turn: with an odd number placed, it is the mover who has one fewer on
        # the board, unless that stone has just closed a mill.
        fewer, more = state.placed // 2, (state.placed + 1) // 2
        removes = state.task == _REMOVE
        own_placed, opponent_placed = (
            jnp.where(removes, more, fewer), jnp.where(removes, fewer, more)
        )  # fmt: skip
        constants = [
            is_free & self._is_placing(state),
            is_lifted,
            removes,
            1 - own_placed / self.stones,
            1 - opponent_placed / self.stones,
            state.quiet / self.quiet_limit,
        ]
        planes = [
            *points, *(jnp.full((_POINTS,), number, jnp.float32) for number in constants)
        ]  # fmt: skip
        return jnp.stack([plane.astype(jnp.float32) for plane in planes], axis=-1).reshape(3, 8, 9)

    def symmetries(self) -> Sequence[Symmetry[NineMensMorrisState]]:
        """Returns rotations, reflections and the exchange of inner and outer square: 15."""
        images = [
            _symmetry(quarter, flip, exchange)
            for exchange in (False, True)
            for flip in (False, True)
            for quarter in range(4)
        ]
        return images[1:]

    def render(self, state: NineMensMorrisState) -> str:
        """Returns the board with its coordinates, and what is to be done or who has won."""
        grid = dict(zip(_PLACES, self._pieces(state, (*_SYMBOLS, "*"), "."), strict=True))
        lines = []
        for row in range(7):
            if row:
                lines.append(f"  {_BETWEEN[row - 1]}")
            text = list(_LINES[row])
            for column in range(7):
                if (row, column) in grid:
                    text[2 * column] = grid[row, column]
            lines.append(f"{7 - row} {''.join(text)}")
        status = self._status(state, _SYMBOLS)
        return "\n".join([*lines, "  a b c d e f g", status])

    def action_to_string(self, state: NineMensMorrisState, action: int) -> str:
        """Returns the point, column and row: "a7" is the top left corner, "d1" below the centre."""
        return _point_name(action)

    def board(self, state: NineMensMorrisState) -> BoardView:
        """Returns a 7 by 7 board with 24 points; every click is one action."""
        cells = ["void"] * 49
        indices = [7 * row + column for row, column in _PLACES]
        pieces = self._pieces(state, (*_PIECES, "lifted"), "")
        for index, piece in zip(indices, pieces, strict=True):
            cells[index] = piece
        legal = [] if bool(self.is_terminal(state)) else legal_actions(self, state)
        # Around each square, and from square to square in the middle of every side.
        around = [
            (8 * ring + point, 8 * ring + (point + 1) % 8)
            for ring in range(3)
            for point in range(8)
        ]
        across = [(point, point + 8) for point in range(1, 16, 2)]
        left = [max(0, self.stones - (int(state.placed) + 1 - player) // 2) for player in range(2)]
        return BoardView(
            kind="lines",
            rows=7,
            columns=7,
            cells=cells,
            clicks={(indices[action],): action for action in legal},
            players=_PIECES,
            counters={"stones to place": left},
            lines=[(indices[one], indices[other]) for one, other in (*around, *across)],
            row_labels="7654321",
            column_labels="abcdefg",
            note=self._status(state, [name.capitalize() for name in _PIECES]),
        )

    def _status(self, state: NineMensMorrisState, names: Sequence[str]) -> str:
        """Returns what the player to move has to do, or the result; `names` are of the players."""
        mover = names[int(state.player)]
        task = int(state.task)
        if bool(self._has_lost(state)):
            return f"{names[1 - int(state.player)]} wins"
        if bool(self.is_terminal(state)):
            return "draw"
        if task == _REMOVE:
            return f"{mover} to remove a stone"
        if task >= 0:
            return f"{mover} to put down the stone from {_point_name(task)}"
        if bool(self._is_placing(state)):
            return f"{mover} to place stone {int(state.placed) // 2 + 1} of {self.stones}"
        return f"{mover} to lift a stone"

    def _is_placing(self, state: NineMensMorrisState) -> Bool[Array, ""]:
        """Returns whether there are stones still to be placed; both players run out together."""
        return state.placed < 2 * self.stones

    def _flies(self, own: UInt32[Array, ""]) -> Bool[Array, ""]:
        """Returns whether these stones may move anywhere."""
        return (jax.lax.population_count(own) == 3) & self.flying

    def _movable(self, own: UInt32[Array, ""], opponent: UInt32[Array, ""]) -> UInt32[Array, ""]:
        """Returns the stones of a player that can move."""
        empty = ~(own | opponent) & _ALL
        return jnp.where(self._flies(own), own, own & _neighbours(empty))

    def _has_lost(self, state: NineMensMorrisState) -> Bool[Array, ""]:
        """Returns whether the player to move has too few stones or none that can move."""
        own, opponent = _by_mover(state)
        too_few = jax.lax.population_count(own) < 3
        stuck = self._movable(own, opponent) == 0
        is_free = (state.task == _PLACE_OR_LIFT) & ~self._is_placing(state)
        return is_free & (too_few | stuck)

    def _pieces(self, state: NineMensMorrisState, names: Sequence[str], empty: str) -> list[str]:
        """Returns what is on every point, on the host; names are for white, black and lifted."""
        white, black = state.stones.tolist()
        task = int(state.task)
        return [
            names[0] if white >> point & 1
            else names[1] if black >> point & 1
            else names[2] if point == task
            else empty
            for point in range(_POINTS)
        ]  # fmt: skip


_LINES = (
    ".-----.-----.",
    "| .---.---. |",
    "| | .-.-. | |",
    ".-.-.   .-.-.",
    "| | .-.-. | |",
    "| .---.---. |",
    ".-----.-----.",
)
_BETWEEN = (
    "|     |     |",
    "| |   |   | |",
    "| | |   | | |",
    "| | |   | | |",
    "| |   |   | |",
    "|     |     |",
)


def _point_name(point: int) -> str:
    row, column = _PLACES[point]
    return f"{'abcdefg'[column]}{7 - row}"


def _by_mover(state: NineMensMorrisState) -> tuple[UInt32[Array, ""], UInt32[Array, ""]]:
    """Returns the stones of the player to move, then the opponent's."""
    first = state.player == 0
    return (
        jnp.where(first, state.stones[0], state.stones[1]),
        jnp.where(first, state.stones[1], state.stones[0]),
    )


def _bits(points: UInt32[Array, ""]) -> Bool[Array, "24"]:
    """Returns a set of points as an array."""
    return points >> jnp.arange(_POINTS, dtype=jnp.uint32) & 1 != 0


def _clockwise(points: UInt32[Array, ""]) -> UInt32[Array, ""]:
    """Returns the points moved on by one on their squares."""
    return points << 1 & 0xFEFEFE | points >> 7 & 0x010101


def _back(points: UInt32[Array, ""]) -> UInt32[Array, ""]:
    """Returns the points moved back by one on their squares."""
    return points >> 1 & 0x7F7F7F | points << 7 & 0x808080


def _neighbours(points: UInt32[Array, ""]) -> UInt32[Array, ""]:
    """Returns the points joined by a line to one of `points`."""
    middles = points & _MIDDLES
    return _clockwise(points) | _back(points) | (middles << 8 | middles >> 8) & _ALL


def _mills(stones: UInt32[Array, ""]) -> UInt32[Array, ""]:
    """Returns the stones that stand in a row of three."""
    # A side begins at a corner and goes on clockwise; a row across the squares, at the outer one.
    sides = stones & _back(stones) & _back(_back(stones)) & _CORNERS
    rows = stones & stones >> 8 & stones >> 16 & (_MIDDLES & 0xFF)
    return (
        sides | _clockwise(sides) | _clockwise(_clockwise(sides)) | rows | rows << 8 | rows << 16
    )  # fmt: skip


def _symmetry(quarter: int, flip: bool, exchange: bool) -> Symmetry[NineMensMorrisState]:
    """Returns quarter turns, a reflection in the main diagonal, and squares inside out."""
    permutation = tuple(
        8 * (2 - ring if exchange else ring) + ((-place if flip else place) + 2 * quarter) % 8
        for ring in range(3)
        for place in range(8)
    )
    origins = tuple(sorted(range(_POINTS), key=permutation.__getitem__))

    def map_state(state: NineMensMorrisState) -> NineMensMorrisState:
        points = state.stones[:, None] >> jnp.array(origins, jnp.uint32)[None] & 1
        places = jnp.arange(_POINTS, dtype=jnp.uint32)[None]
        # A task that is not a point stays what it is.
        tasks = jnp.array([*permutation, _REMOVE, _PLACE_OR_LIFT], jnp.int8)
        return NineMensMorrisState(
            stones=(points << places).sum(axis=1, dtype=jnp.uint32),
            placed=state.placed,
            task=tasks[state.task],
            quiet=state.quiet,
            player=state.player,
        )

    parts = [f"rotate {90 * quarter}"] * (quarter > 0) + ["reflect"] * flip
    parts += ["inside out"] * exchange
    return Symmetry(
        name=", ".join(parts) or "identity", map_state=map_state, permutation=permutation
    )
