"""Go: surround empty points and capture what has no liberty left; the larger area wins."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int, Int8, Int16, Int32, Key, UInt32

from selfplay.errors import ConfigError
from selfplay.game import BoardView, EngineSetup, Game, Symmetry, legal_actions, pytree

_SYMBOLS = ("x", "o")
_PIECES = ("black", "white")
# As written on boards: no I.
_LETTERS = "ABCDEFGHJKLMNOPQRST"


@pytree
class GoState:
    """A position and what superko needs of its past: 1,383 bytes at 9 by 9 by default.

    The board lies as it was set up. A rotation or reflection changes `orientation` alone, which
    turns actions on their way in and everything seen on its way out: hashes of past positions
    could not be turned any more.

    Attributes:
        board: for each point 0 (empty), or the number of its group: positive black, negative
            white. The number is 1 + the lowest point of the group.
        hashes: 64 bits of the stones after each ply so far, as two words, sorted; a row not used
            yet has every bit set.
        ply: how many moves and passes were played; black plays the even ones.
        passes: passes in a row just now: 0, 1, or 2, which ends the match.
        komi: points for white, doubled.
        orientation: how the board is shown: bit 0 transposed, then bit 1 upside down, then bit 2
            left for right.
    """

    board: Int[Array, " points"]
    hashes: UInt32[Array, "plies 2"]
    ply: Int16[Array, ""]
    passes: Int8[Array, ""]
    komi: Int16[Array, ""]
    orientation: Int8[Array, ""]


class Go(Game[GoState]):
    """Go by area, without suicide, no position twice; player 0 (x, black) begins.

    Args:
        size: side of the square board, 3 to 19.
        komi: points for white, in halves.
        komi_spread: a whole number; each match draws its komi evenly from the numbers
            komi - komi_spread, ..., komi + komi_spread, one apart.
        max_plies: at this ply the match ends and the area counts; 0 stands for twice the number
            of points.
    """

    name = "go"

    def __init__(
        self, size: int = 9, komi: float = 7.5, komi_spread: int = 0, max_plies: int = 0
    ) -> None:
        if not 3 <= size <= 19:
            raise ConfigError(f"{self.name}: size is {size}, but must be between 3 and 19")
        points = size * size
        if not -points <= komi <= points or 2 * komi != int(2 * komi):
            raise ConfigError(
                f"{self.name}: komi is {komi}, but must be a multiple of 0.5 between {-points} "
                f"and {points}"
            )
        if not 0 <= komi_spread <= points:
            raise ConfigError(
                f"{self.name}: komi_spread is {komi_spread}, but must be between 0 and {points}"
            )
        if not 0 <= max_plies <= 10_000:
            raise ConfigError(
                f"{self.name}: max_plies is {max_plies}, but must be between 1 and 10000, or 0 for "
                f"{2 * points}"
            )
        self.size = size
        self.komi = komi
        self.komi_spread = komi_spread
        self.num_actions = points + 1
        self.max_plies = max_plies or 2 * points
        self._points = points
        self._keys = _random_words(4 * points)
        # `_images[orientation][point]`: where a point is seen; `_origins` is the inverse.
        self._images = [_image(size, orientation) for orientation in range(8)]
        self._origins = [
            [*sorted(range(points), key=image.__getitem__), points] for image in self._images
        ]

    def init(self, key: Key[Array, ""]) -> GoState:
        """Returns the empty board, and the komi drawn."""
        shift = jax.random.randint(key, (), -self.komi_spread, self.komi_spread + 1)
        return GoState(
            board=jnp.zeros(self._points, jnp.int8 if self._points < 128 else jnp.int16),
            hashes=jnp.full((self.max_plies, 2), 0xFFFFFFFF, jnp.uint32),
            ply=jnp.int16(0),
            passes=jnp.int8(0),
            komi=(int(2 * self.komi) + 2 * shift).astype(jnp.int16),
            orientation=jnp.int8(0),
        )

    def step(self, state: GoState, action: Int32[Array, ""]) -> GoState:
        """Returns the position after a stone on point `action`, or after the pass."""
        point = jnp.array(self._origins, jnp.int32)[state.orientation, action]
        is_pass = point == self._points
        white = state.ply % 2 == 1
        # The mover's groups are positive from here on.
        board = jnp.where(white, -state.board, state.board).astype(jnp.int32)
        here = jnp.arange(self._points, dtype=jnp.int32) == point
        empty = (board == 0) & ~here
        breathes = self._any_neighbour(empty)
        around = [self._at(board, neighbour) for neighbour in self._neighbours_of(point)]
        captured, joined = jnp.zeros_like(here), here
        for group in around:
            members = board == group
            captured |= members & (group < 0) & ~(members & breathes).any()
            joined |= members & (group > 0)
        label = jnp.min(
            jnp.stack([point + 1, *(jnp.where(g > 0, g, self._points) for g in around)])
        )
        after = jnp.where(captured, 0, jnp.where(joined, label, board))
        after = jnp.where(white, -after, after).astype(state.board.dtype)
        after = jnp.where(is_pass, state.board, after)
        return GoState(
            board=after,
            hashes=_insert(self._hash(after), state.hashes),
            ply=state.ply + jnp.int16(1),
            passes=jnp.where(is_pass, state.passes + jnp.int8(1), jnp.int8(0)),
            komi=state.komi,
            orientation=state.orientation,
        )

    def current_player(self, state: GoState) -> Int32[Array, ""]:
        """Returns who is to move; the players take turns."""
        return (state.ply % 2).astype(jnp.int32)

    def legal_action_mask(self, state: GoState) -> Bool[Array, " A"]:
        """Returns the points where a stone may be played; the last action, the pass, always."""
        seen = self._seen(self._playable(state), state)
        return jnp.append(seen.reshape(-1), True)

    def is_terminal(self, state: GoState) -> Bool[Array, ""]:
        """Returns whether both players have passed in turn."""
        return state.passes >= 2

    def returns(self, state: GoState) -> Float32[Array, "2"]:
        """Returns 1 for the player with the larger area, komi counted, and -1, or 0 for both."""
        margin = 2 * self._area(state).sum() - state.komi.astype(jnp.int32)
        return jnp.sign(jnp.stack([margin, -margin])).astype(jnp.float32)

    def observe(self, state: GoState) -> Float32[Array, "size size 6"]:
        """Returns six planes.

        The mover's stones, the opponent's, stones of groups with one liberty, empty points where
        the mover may not play, whether the opponent has just passed, and the komi from the
        mover's side divided by `2 * size`.
        """
        white = state.ply % 2 == 1
        board = jnp.where(white, -state.board, state.board)
        _, liberty = self._liberties(board)
        planes = [board > 0, board < 0, liberty >= 0, (board == 0) & ~self._playable(state)]
        everywhere = jnp.ones((self.size, self.size), jnp.float32)
        komi = jnp.where(white, state.komi, -state.komi).astype(jnp.float32) / (4 * self.size)
        return jnp.stack(
            [
                *(self._seen(plane, state).astype(jnp.float32) for plane in planes),
                everywhere * (state.passes == 1).astype(jnp.float32),
                everywhere * komi,
            ],
            axis=-1,
        )

    def symmetries(self) -> Sequence[Symmetry[GoState]]:
        """Returns the seven rotations and reflections of the square."""
        return [self._symmetry(orientation) for orientation in range(1, 8)]

    def auxiliary_targets(self, state: GoState, final_state: GoState) -> dict[str, Array]:
        """Returns who owns each point at the end, and by how much, komi counted.

        Returns:
            "ownership", [size, size]: 1 own, -1 opponent's, 0 neither's; "score_margin", []:
            points more than the opponent, divided by the number of points, cut off at 1 and -1.
        """
        sign = jnp.where(state.ply % 2 == 0, 1, -1)
        area = self._area(final_state)
        margin = sign * (2 * area.sum() - final_state.komi.astype(jnp.int32))
        return {
            "ownership": self._seen(sign * area, final_state).astype(jnp.float32),
            "score_margin": jnp.clip(margin.astype(jnp.float32) / (2 * self._points), -1.0, 1.0),
        }

    def render(self, state: GoState) -> str:
        """Returns the board with its coordinates, and who is to move or has won by how much."""
        cells = self._pieces(state, _SYMBOLS, ".")
        width = len(str(self.size))
        lines = [
            f"{self.size - row:>{width}} " + " ".join(cells[row * self.size :][: self.size])
            for row in range(self.size)
        ]
        letters = " " * (width + 1) + " ".join(_LETTERS[: self.size])
        komi = f"komi {int(state.komi) / 2:g}"
        if int(state.passes) < 2:
            passed = ", after a pass" if int(state.passes) else ""
            status = f"{_SYMBOLS[int(state.ply) % 2]} to move{passed} ({komi})"
            return "\n".join([*lines, letters, status])
        margin = int(self._area(state).sum()) - int(state.komi) / 2
        if margin == 0:
            status = f"draw ({komi})"
        else:
            status = f"{_SYMBOLS[margin < 0]} wins by {abs(margin):g} ({komi})"
        return "\n".join([*lines, letters, status])

    def action_to_string(self, state: GoState, action: int) -> str:
        """Returns column and row, "A1" at the bottom left, without a column I, or "pass"."""
        if action == self._points:
            return "pass"
        return f"{_LETTERS[action % self.size]}{self.size - action // self.size}"

    def engine_setup(self, first: GoState) -> EngineSetup:
        """Returns the size of the board and the komi of this match."""
        return EngineSetup(gtp=(f"boardsize {self.size}", f"komi {int(first.komi) / 2:g}"))

    def board(self, state: GoState) -> BoardView:
        """Returns the points; the pass needs no click: its key is the empty tuple."""
        over = int(state.passes) >= 2
        clicks: dict[tuple[int, ...], int] = {
            () if action == self._points else (action,): action
            for action in ([] if over else legal_actions(self, state))
        }
        edge, middle = (3 if self.size > 11 else 2), self.size // 2
        stars = (edge, middle, self.size - 1 - edge) if self.size > 6 else (middle,)
        # Ownership is known at the end alone.
        area = self._seen(self._area(state), state).reshape(-1).tolist() if over else []
        return BoardView(
            kind="lines",
            rows=self.size,
            columns=self.size,
            cells=self._pieces(state, _PIECES, ""),
            clicks=clicks,
            players=_PIECES,
            owners=[0 if sign > 0 else 1 if sign < 0 else None for sign in area],
            shaded={self.size * row + column for row in stars for column in stars},
            row_labels=[str(self.size - row) for row in range(self.size)],
            column_labels=_LETTERS[: self.size],
            note=f"komi {int(state.komi) / 2:g}",
        )

    def _playable(self, state: GoState) -> Bool[Array, " points"]:
        """Returns the points, as they lie, where the mover may play."""
        white = state.ply % 2 == 1
        board = jnp.where(white, -state.board, state.board)
        many, liberty = self._liberties(board)
        open_ = self._any_neighbour((board == 0) | ((board > 0) & many))
        # Each stone of an opponent's group in atari is taken away at the liberty it dies by: its
        # key goes, and what is left is what the position after the move would hash to. The last
        # row is for all other points.
        dies_at = jnp.where((board < 0) & (liberty >= 0), liberty, self._points)
        own, opponent = self._player_keys(white)
        gone = jnp.zeros((self._points + 1, 2), jnp.uint32).at[dies_at].add(opponent)
        captures = jnp.zeros(self._points + 1, jnp.bool_).at[dies_at].set(True)[:-1]
        after = self._hash(state.board)[None] + own - gone[:-1]
        repeats = self._has_been(after, state.hashes)
        return (board == 0) & (open_ | captures) & ~repeats

    def _has_been(
        self, wanted: UInt32[Array, "points 2"], hashes: UInt32[Array, "plies 2"]
    ) -> Bool[Array, " points"]:
        """Returns which of some hashes are among the sorted ones, by bisection."""
        count = self.max_plies
        below = jnp.zeros(wanted.shape[0], jnp.int32)
        for power in reversed(range(count.bit_length())):
            probe = jnp.minimum(below + (1 << power), count)
            below = jnp.where(_less(hashes[probe - 1], wanted), probe, below)
        return (hashes[jnp.minimum(below, count - 1)] == wanted).all(axis=1)

    def _liberties(
        self, board: Int[Array, " points"]
    ) -> tuple[Bool[Array, " points"], Int32[Array, " points"]]:
        """Returns, for each stone, whether its group has two or more liberties, or which one.

        The second is the only liberty of the group, or -1 if it has none or more, or no stone.
        """
        # The highest and the lowest liberty of each stone, then of each group; row 0 of the
        # groups is for what belongs to none.
        points = jnp.arange(1, self._points + 1, dtype=jnp.int32)
        high = self._shifted(jnp.where(board == 0, points, 0), 0)
        low = self._shifted(jnp.where(board == 0, self._points + 1 - points, 0), 0)
        beside = jnp.stack([_highest(high), _highest(low)], axis=-1)
        group = jnp.abs(board).astype(jnp.int32)
        found = jnp.zeros((self._points + 1, 2), jnp.int32).at[group].max(beside)[group]
        highest, lowest = found[:, 0], self._points + 1 - found[:, 1]
        stone, some = board != 0, highest > 0
        return (
            stone & some & (highest != lowest),
            jnp.where(stone & some & (highest == lowest), highest - 1, -1),
        )

    def _area(self, state: GoState) -> Int32[Array, " points"]:
        """Returns 1 for black's stones and points, -1 for white's, 0 for neither's, as they lie."""
        stones = jnp.stack([self._pack(state.board > 0), self._pack(state.board < 0)])
        board = jnp.uint32((1 << self.size) - 1)
        empty = jnp.broadcast_to(board & ~(stones[:1] | stones[1:]), stones.shape)
        blank = jnp.zeros((2, 1), jnp.uint32)

        def spread(reached: UInt32[Array, "2 size"]) -> UInt32[Array, "2 size"]:
            down = jnp.concatenate([blank, reached[:, :-1]], axis=1)
            up = jnp.concatenate([reached[:, 1:], blank], axis=1)
            reached = reached | ((down | up) & empty)
            # Then along the rows both ways, twice as far each time.
            right = left = empty
            distance = 1
            while distance < self.size:
                reached = reached | (reached << distance & right) | (reached >> distance & left)
                right, left = right & right << distance, left & left >> distance
                distance *= 2
            return reached

        def advance(
            pair: tuple[UInt32[Array, "2 size"], UInt32[Array, "2 size"]],
        ) -> tuple[UInt32[Array, "2 size"], UInt32[Array, "2 size"]]:
            return pair[1], spread(pair[1])

        _, reached = jax.lax.while_loop(
            lambda pair: (pair[0] != pair[1]).any(), advance, (stones, spread(stones))
        )
        black, white = self._unpack(reached[0]), self._unpack(reached[1])
        return black.astype(jnp.int32) - white.astype(jnp.int32)

    def _pack(self, points: Bool[Array, " points"]) -> UInt32[Array, " size"]:
        """Returns a set of points as one word per row."""
        columns = jnp.arange(self.size, dtype=jnp.uint32)[None]
        grid = points.reshape(self.size, self.size).astype(jnp.uint32)
        return (grid << columns).sum(axis=1, dtype=jnp.uint32)

    def _unpack(self, rows: UInt32[Array, " size"]) -> Bool[Array, " points"]:
        """Returns the set of points that `rows` holds."""
        columns = jnp.arange(self.size, dtype=jnp.uint32)[None]
        return ((rows[:, None] >> columns) & 1 != 0).reshape(-1)

    def _shifted(self, values: Array, outside: int | bool) -> list[Array]:
        """Returns, for each point, what its four neighbours hold."""
        grid = jnp.pad(values.reshape(self.size, self.size), 1, constant_values=outside)
        return [
            grid[down : down + self.size, right : right + self.size].reshape(-1)
            for down, right in ((0, 1), (2, 1), (1, 0), (1, 2))
        ]

    def _any_neighbour(self, points: Bool[Array, " points"]) -> Bool[Array, " points"]:
        """Returns the points beside one of `points`."""
        up, down, left, right = self._shifted(points, False)
        return up | down | left | right

    def _neighbours_of(self, point: Int32[Array, ""]) -> list[Int32[Array, ""]]:
        """Returns the four neighbours of a point; -1 is off the board."""
        row, column = point // self.size, point % self.size
        return [
            jnp.where(row > 0, point - self.size, -1),
            jnp.where(row < self.size - 1, point + self.size, -1),
            jnp.where(column > 0, point - 1, -1),
            jnp.where(column < self.size - 1, point + 1, -1),
        ]

    def _at(self, board: Int32[Array, " points"], point: Int32[Array, ""]) -> Int32[Array, ""]:
        """Returns the group on a point, 0 off the board."""
        points = jnp.arange(self._points, dtype=jnp.int32)
        return jnp.where(points == point, board, 0).sum()

    def _hash(self, board: Int[Array, " points"]) -> UInt32[Array, "2"]:
        """Returns the sum of the keys of all stones, modulo 2 ** 32 in each word."""
        black, white = self._player_keys(jnp.bool_(False))
        stone = board[:, None]
        keys = jnp.where(stone > 0, black, jnp.where(stone < 0, white, jnp.uint32(0)))
        return keys.sum(axis=0, dtype=jnp.uint32)

    def _player_keys(
        self, white: Bool[Array, ""]
    ) -> tuple[UInt32[Array, "points 2"], UInt32[Array, "points 2"]]:
        """Returns the keys of the mover's stones, then of the opponent's; `white` is to move."""
        first, second = jnp.array(self._keys, jnp.uint32).reshape(2, -1, 2)
        return jnp.where(white, second, first), jnp.where(white, first, second)

    def _seen(self, values: Array, state: GoState) -> Array:
        """Returns what lies on each point as a grid, the way the board is shown."""
        grid = values.reshape(self.size, self.size)
        grid = jnp.where(state.orientation & 1 != 0, grid.T, grid)
        grid = jnp.where(state.orientation & 2 != 0, grid[::-1], grid)
        return jnp.where(state.orientation & 4 != 0, grid[:, ::-1], grid)

    def _pieces(self, state: GoState, names: Sequence[str], empty: str) -> list[str]:
        """Returns what stands on every point as shown, on the host."""
        board = self._seen(state.board, state).reshape(-1).tolist()
        return [names[0] if group > 0 else names[1] if group < 0 else empty for group in board]

    def _symmetry(self, orientation: int) -> Symmetry[GoState]:
        """Returns what turns a board shown straight into one shown in `orientation`."""
        image = self._images[orientation]
        turned = [self._images.index([image[point] for point in first]) for first in self._images]

        def map_state(state: GoState) -> GoState:
            return GoState(
                board=state.board,
                hashes=state.hashes,
                ply=state.ply,
                passes=state.passes,
                komi=state.komi,
                orientation=jnp.array(turned, jnp.int8)[state.orientation],
            )

        names = [
            name
            for bit, name in enumerate(("transpose", "upside down", "left for right"))
            if orientation >> bit & 1
        ]
        return Symmetry(
            name=", ".join(names), map_state=map_state, permutation=(*image, self._points)
        )


class Go9x9(Go):
    """Go on the small board.

    Args:
        komi, komi_spread, max_plies: as in `Go`.
    """

    name = "go_9x9"
    title = "Go on 9 by 9"

    def __init__(self, komi: float = 7.5, komi_spread: int = 0, max_plies: int = 0) -> None:
        super().__init__(9, komi, komi_spread, max_plies)


class Go19x19(Go):
    """Go on the board of tournaments.

    Args:
        komi, komi_spread, max_plies: as in `Go`.
    """

    name = "go_19x19"
    title = "Go on 19 by 19"

    def __init__(self, komi: float = 7.5, komi_spread: int = 0, max_plies: int = 0) -> None:
        super().__init__(19, komi, komi_spread, max_plies)


def _less(left: UInt32[Array, "*n 2"], right: UInt32[Array, "*n 2"]) -> Bool[Array, "*n"]:
    """Returns whether one hash is below another."""
    high, low = left[..., 0], left[..., 1]
    return (high < right[..., 0]) | ((high == right[..., 0]) & (low < right[..., 1]))


def _insert(
    hashed: UInt32[Array, "2"], hashes: UInt32[Array, "plies 2"]
) -> UInt32[Array, "plies 2"]:
    """Returns sorted hashes with one more, and the last row gone."""
    everywhere = jnp.broadcast_to(hashed[None], hashes.shape)
    stays = _less(hashes, everywhere)[:, None]
    # The rows above the new one move up by one.
    moved = jnp.concatenate([everywhere[:1], hashes[:-1]])
    lands = jnp.concatenate([jnp.ones((1, 1), jnp.bool_), stays[:-1]])
    return jnp.where(stays, hashes, jnp.where(lands, everywhere, moved))


def _highest(values: Sequence[Int32[Array, " points"]]) -> Int32[Array, " points"]:
    """Returns the highest of several numbers at each point."""
    up, down, left, right = values
    return jnp.maximum(jnp.maximum(up, down), jnp.maximum(left, right))


def _image(size: int, orientation: int) -> list[int]:
    """Returns where each point is seen; see `GoState.orientation`."""
    image = []
    for row in range(size):
        for column in range(size):
            down, right = (column, row) if orientation & 1 else (row, column)
            down = size - 1 - down if orientation & 2 else down
            right = size - 1 - right if orientation & 4 else right
            image.append(down * size + right)
    return image


def _random_words(count: int) -> list[int]:
    """Returns fixed random words of 32 bits (splitmix64, the upper half of each number)."""
    words, seed, whole = [], 0, (1 << 64) - 1
    for _ in range(count):
        seed = seed + 0x9E3779B97F4A7C15 & whole
        number = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & whole
        number = (number ^ number >> 27) * 0x94D049BB133111EB & whole
        words.append((number ^ number >> 31) >> 32)
    return words
