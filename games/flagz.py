"""Flagz: plant flags, grow numbers from them over a hexagonal board, catch the grass."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key, UInt32

from selfplay.errors import ConfigError
from selfplay.game import BoardView, Game, Symmetry, legal_actions, pytree
from selfplay.game.bitboards import (
    WORD,
    Cells,
    both,
    choose,
    either,
    from_number,
    is_any,
    pack,
    shift,
    single,
    to_number,
    without,
)

_SYMBOLS = ("x", "o")
_LETTERS = "abcdefghij"
_HIGHEST = 5
_ROCK = 7


@pytree
class FlagzState:
    """A position: 82 bytes. Scores, flags left and next values follow from the cells.

    Attributes:
        cells: five sets of cells: player 0's, player 1's, and the three bits of a value. An owned
            cell holds a number, or a flag where its value is 0. Without an owner a value of 1 to 5
            is grass, 7 a rock, 0 a free cell.
        player: who is to move.
        over: whether the match has ended.
    """

    cells: UInt32[Array, "5 words"]
    player: Int8[Array, ""]
    over: Bool[Array, ""]


class Flagz(Game[FlagzState]):
    """Flagz, also called Hexz, from a random start; player 0 (x) begins.

    Args:
        rows: rows of cells, 3 to 11; every second row is one cell shorter.
        columns: cells of the long rows, 3 to 10.
        rocks: cells that are blocked for ever, at random places.
        grass: one cell of grass of each value from 1 to this, 0 to 5, at random places.
        flags: flags of each player, 1 to 9.
        flag_beside_five: whether a flag may stand beside an own 5.
    """

    name = "flagz"

    def __init__(
        self,
        rows: int = 11,
        columns: int = 10,
        rocks: int = 15,
        grass: int = 5,
        flags: int = 3,
        flag_beside_five: bool = False,
    ) -> None:
        self._real = tuple(
            columns * row + column for row in range(rows) for column in range(columns - row % 2)
        )
        for option, value, low, high in (
            ("rows", rows, 3, 11),
            ("columns", columns, 3, 10),
            ("grass", grass, 0, _HIGHEST),
            ("flags", flags, 1, 9),
            ("rocks", rocks, 0, len(self._real) - grass - 2),
        ):
            if not low <= value <= high:
                raise ConfigError(
                    f"flagz: {option} is {value}, but must be between {low} and {high}"
                )
        self.rows = rows
        self.columns = columns
        self.rocks = rocks
        self.grass = grass
        self.flags = flags
        self.flag_beside_five = flag_beside_five
        self.num_cells = rows * columns
        self.num_actions = 2 * self.num_cells
        self.max_plies = len(self._real) - rocks - grass

    def init(self, key: Key[Array, ""]) -> FlagzState:
        """Returns a board with rocks and grass on random cells."""
        # The cells with the lowest random numbers; their last bits make all numbers different.
        cells = jnp.arange(self.num_cells, dtype=jnp.uint32)
        (is_real,) = self._grids([self._all])
        noise = jax.random.bits(key, cells.shape, jnp.uint32) & ~jnp.uint32(0xFF) | cells
        noise = jnp.where(is_real.reshape(-1), noise, ~cells)
        ordered = jnp.sort(noise)
        values = jnp.where(noise < ordered[self.rocks], _ROCK, 0)
        for grass in range(1, self.grass + 1):
            values = jnp.where(noise == ordered[self.rocks + grass - 1], grass, values)
        nobody = jnp.zeros((self.num_cells,), jnp.bool_)
        return FlagzState(
            cells=jnp.stack(
                [
                    pack(nobody),
                    pack(nobody),
                    *(pack((values >> bit & 1) != 0) for bit in range(3)),
                ]
            ),
            player=jnp.int8(0),
            over=jnp.bool_(False),
        )

    def step(self, state: FlagzState, action: Int32[Array, ""]) -> FlagzState:
        """Returns the position after a flag or a number, with the grass it catches."""
        own, opponent, *bits = self._by_mover(state)
        is_number = action >= self.num_cells
        cell = action % self.num_cells
        placed = single(cell, len(own))
        near = _settled(self._neighbours(placed))
        value = jnp.where(is_number, self._next_value(near, own, bits), 0)

        # A cell of grass is caught by an own number at least as high. None was within reach
        # before, and no value occurs twice: so chains only lead down from the new number.
        unowned = without(self._all, either(own, opponent))
        reached = self._none
        caught = self._none
        for grass in range(self.grass, 0, -1):
            growing = tuple(jnp.where(value >= grass, n, jnp.uint32(0)) for n in near)
            within_reach = either(growing, reached)
            new = both(both(_having(bits, grass), unowned), within_reach)
            caught = either(caught, new)
            if grass > 1:
                reached = _settled(either(reached, self._neighbours(new)))
        own = _settled(either(either(own, placed), caught))
        bits = [
            _settled(either(plane, tuple(jnp.where(value >> number & 1, p, 0) for p in placed)))
            for number, plane in enumerate(bits)
        ]

        can_move = [
            is_any(either(*self._placements(player, other, bits)))
            for player, other in ((own, opponent), (opponent, own))
        ]
        margin = _score(own, bits) - _score(opponent, bits)
        # Who cannot move and is behind has lost; nobody can move either way ends it too.
        over = (
            (~can_move[0] & ~can_move[1])
            | (~can_move[0] & (margin < 0))
            | (~can_move[1] & (margin > 0))
        )
        first = state.player == 0
        mine, yours = jnp.stack(own), jnp.stack(opponent)
        return FlagzState(
            cells=jnp.stack(
                [
                    jnp.where(first, mine, yours),
                    jnp.where(first, yours, mine),
                    *(jnp.stack(plane) for plane in bits),
                ]
            ),
            player=jnp.where(can_move[1], 1 - state.player, state.player),
            over=over,
        )

    def current_player(self, state: FlagzState) -> Int32[Array, ""]:
        """Returns who is to move; who cannot move is skipped."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: FlagzState) -> Bool[Array, " A"]:
        """Returns the cells for flags, then the cells for numbers."""
        own, opponent, *bits = self._by_mover(state)
        return self._grids(self._placements(own, opponent, bits)).reshape(-1)

    def is_terminal(self, state: FlagzState) -> Bool[Array, ""]:
        """Returns whether neither player can move, or one who cannot is behind."""
        return state.over

    def returns(self, state: FlagzState) -> Float32[Array, "2"]:
        """Returns 1 for the player with the higher score and -1 for the other, or 0 for both."""
        margin = self._margin(state)
        return jnp.sign(jnp.stack([margin, -margin])).astype(jnp.float32)

    def observe(self, state: FlagzState) -> Float32[Array, "rows columns 11"]:
        """Returns five planes of the mover, the same five of the opponent, and the grass.

        Flags, numbers, blocked cells, next values and the share of flags left; numbers, next
        values and grass are divided by 5.
        """
        own, opponent, *bits = self._by_mover(state)
        free = self._free(own, opponent, bits)
        sets = [own, opponent, *bits]
        for player in (own, opponent):
            sources = [both(player, _having(bits, value)) for value in range(_HIGHEST + 1)]
            near = [self._neighbours(cells) for cells in sources]
            sets += [without(free, near[_HIGHEST]), *near[:_HIGHEST]]
        mine, yours, one, two, four, *grown = self._grids(sets)
        value = one + 2 * two + 4 * four
        planes = []
        for owned, (open_, *near) in ((mine, grown[:6]), (yours, grown[6:])):
            # The lowest value that grows into a cell counts.
            next_value = jnp.zeros_like(value)
            for parent, here in reversed(list(enumerate(near))):
                next_value = jnp.where(here & open_, parent + 1, next_value)
            is_flag = owned & (value == 0)
            left = (self.flags - is_flag.sum()) / self.flags
            planes += [
                is_flag,
                jnp.where(owned, value, 0) / _HIGHEST,
                ~open_,
                next_value / _HIGHEST,
                jnp.full(value.shape, left),
            ]
        is_grass = ~mine & ~yours & (value <= _HIGHEST)
        planes.append(jnp.where(is_grass, value, 0) / _HIGHEST)
        return jnp.stack([plane.astype(jnp.float32) for plane in planes], axis=-1)

    def symmetries(self) -> Sequence[Symmetry[FlagzState]]:
        """Returns the reflections and the half turn; only the first with an even number of rows."""
        up_down = [(False, True), (True, True)] if self.rows % 2 else []
        return [self._symmetry(*flips) for flips in [(True, False), *up_down]]

    def auxiliary_targets(self, state: FlagzState, final_state: FlagzState) -> dict[str, Array]:
        """Returns who owns each cell at the end, and by how much the player to move wins.

        Returns:
            "ownership", [rows, columns]: 1 own, -1 the opponent's, 0 nobody's; "score_margin", []:
            points more than the opponent, divided by the number of cells, at most 1 either way.
        """
        first = state.player == 0
        x, o = self._grids([tuple(cells) for cells in final_state.cells[:2]]).astype(jnp.float32)
        margin = self._margin(final_state).astype(jnp.float32) / len(self._real)
        return {
            "ownership": jnp.where(first, x - o, o - x),
            "score_margin": jnp.clip(jnp.where(first, margin, -margin), -1, 1),
        }

    def render(self, state: FlagzState) -> str:
        """Returns the board, with the next values of the mover, and who is to move or has won.

        "##" is a rock, "g3" grass, "x!" a flag, "x3" a number, "+2" what the mover can place
        there and "." a cell where only a flag may stand.
        """
        pieces = self._pieces(state)
        short = {"": ".", "rock": "##", "void": "", "grass": "g", "x": "x", "o": "o"}
        grown = self._next_values(state)
        lines = [" " * 3 + "".join(f"{letter:4}" for letter in _LETTERS[: self.columns]).rstrip()]
        for row in range(self.rows):
            texts = []
            for cell in range(row * self.columns, (row + 1) * self.columns):
                kind, _, value = pieces[cell].partition(" ")
                symbol = short[kind] + ("!" if value == "flag" else value)
                texts.append(f"+{grown[cell]}" if grown[cell] else symbol)
            indent = "  " if row % 2 else ""
            lines.append(f"{row + 1:2} {indent}{''.join(f'{text:4}' for text in texts)}".rstrip())
        scores = _scores(pieces)
        if not bool(state.over):
            status = f"{_SYMBOLS[int(state.player)]} to move"
        elif scores[0] == scores[1]:
            status = "draw"
        else:
            status = f"{_SYMBOLS[scores[1] > scores[0]]} wins"
        flags = [self.flags - pieces.count(f"{symbol} flag") for symbol in _SYMBOLS]
        return "\n".join(
            [*lines, f"{status} (x {scores[0]}, o {scores[1]}; flags x {flags[0]}, o {flags[1]})"]
        )

    def action_to_string(self, state: FlagzState, action: int) -> str:
        """Returns column and row, "a1" at the top left, with an "f" behind for a flag."""
        row, column = divmod(action % self.num_cells, self.columns)
        return f"{_LETTERS[column]}{row + 1}" + ("f" if action < self.num_cells else "")

    def board(self, state: FlagzState) -> BoardView:
        """Returns the cells and the flags in hand; a flag is clicked before where it shall stand.

        A click on a cell alone places a number.
        """
        legal = legal_actions(self, state) if not bool(state.over) else []
        pieces = self._pieces(state)
        pieces_of = [f"{symbol} flag" for symbol in _SYMBOLS]
        hands = [[name] * (self.flags - pieces.count(name)) for name in pieces_of]
        flag = self.num_cells + (len(hands[0]) if int(state.player) else 0)
        return BoardView(
            kind="hex",
            rows=self.rows,
            columns=self.columns,
            cells=pieces,
            clicks={
                (action - self.num_cells,) if action >= self.num_cells else (flag, action): action
                for action in legal
            },
            hands=hands,
            counters={"score": _scores(pieces)},
            row_labels=[str(row + 1) for row in range(self.rows)],
            column_labels=_LETTERS[: self.columns],
        )

    @property
    def _none(self) -> Cells:
        return self._constant([])

    @property
    def _all(self) -> Cells:
        return self._constant(self._real)

    def _constant(self, cells: Sequence[int]) -> Cells:
        """Returns a set of cells that is known before the match."""
        return from_number(sum(1 << cell for cell in cells), self.num_cells)

    def _grids(self, sets: Sequence[Cells]) -> Bool[Array, "sets rows columns"]:
        """Returns sets of cells as arrays."""
        words = jnp.array([_settled(cells) for cells in sets])[:, :, None]
        bits = words >> jnp.arange(WORD, dtype=jnp.uint32).reshape(1, 1, -1) & 1 != 0
        return bits.reshape(len(sets), -1)[:, : self.num_cells].reshape(-1, self.rows, self.columns)

    def _by_mover(self, state: FlagzState) -> list[Cells]:
        """Returns the cells of the player to move, the opponent's, and the bits of the values."""
        x, o, *bits = (tuple(plane) for plane in state.cells)
        first = state.player == 0
        return [choose(first, x, o), choose(first, o, x), *bits]

    def _neighbours(self, cells: Cells) -> Cells:
        """Returns the cells that touch one of `cells`."""
        last = self.columns - 1
        even = [cell for cell in range(self.num_cells) if cell // self.columns % 2 == 0]
        odd = [cell for cell in range(self.num_cells) if cell // self.columns % 2]
        inner = [cell for cell in range(self.num_cells) if cell % self.columns != last]
        right_of = shift(both(cells, self._constant(inner)), 1)
        outer = [cell for cell in range(self.num_cells) if cell % self.columns != 0]
        left_of = shift(both(cells, self._constant(outer)), -1)
        # An odd row lies half a cell to the right: from it the cells above and below have the
        # same column and the next one, from an even row the same and the one before.
        columns = either(
            cells,
            either(
                both(left_of, self._constant(even)),
                both(right_of, self._constant(odd)),
            ),
        )
        above_and_below = either(shift(columns, self.columns), shift(columns, -self.columns))
        return both(either(either(left_of, right_of), above_and_below), self._all)

    def _next_value(self, near: Cells, own: Cells, bits: Sequence[Cells]) -> Int32[Array, ""]:
        """Returns the lowest value that grows into a cell with these neighbours."""
        parents = [both(both(near, own), _having(bits, value)) for value in range(_HIGHEST)]
        grows = jnp.array(parents).any(axis=1)
        return jnp.where(grows, jnp.arange(1, _HIGHEST + 1), _HIGHEST + 1).min() % (_HIGHEST + 1)

    def _free(self, own: Cells, opponent: Cells, bits: Sequence[Cells]) -> Cells:
        """Returns the cells that hold nothing."""
        free = without(self._all, either(own, opponent))
        for plane in bits:
            free = without(free, plane)
        return free

    def _placements(
        self, own: Cells, opponent: Cells, bits: Sequence[Cells]
    ) -> tuple[Cells, Cells]:
        """Returns where `own`'s player may place a flag, and where a number."""
        free = self._free(own, opponent, bits)
        fives = both(own, _having(bits, _HIGHEST))
        unblocked = without(free, self._neighbours(fives))
        grown = both(unblocked, self._neighbours(without(own, fives)))
        has_flag = _count(both(own, _having(bits, 0))) < self.flags
        for_flags = free if self.flag_beside_five else unblocked
        return tuple(jnp.where(has_flag, word, jnp.uint32(0)) for word in for_flags), grown

    def _margin(self, state: FlagzState) -> Int32[Array, ""]:
        """Returns the score of player 0 less that of player 1."""
        x, o, *bits = (tuple(plane) for plane in state.cells)
        return _score(x, bits) - _score(o, bits)

    def _pieces(self, state: FlagzState) -> list[str]:
        """Returns what stands on every cell, on the host: "rock", "grass 3", "x flag", "o 2"."""
        x, o, *bits = (to_number(words) for words in state.cells.tolist())
        pieces = ["void"] * self.num_cells
        for cell in self._real:
            value = sum((plane >> cell & 1) << number for number, plane in enumerate(bits))
            owner = "x" if x >> cell & 1 else "o" if o >> cell & 1 else "grass"
            if owner == "grass":
                pieces[cell] = {0: "", _ROCK: "rock"}.get(value, f"grass {value}")
            else:
                pieces[cell] = f"{owner} {value or 'flag'}"
        return pieces

    def _next_values(self, state: FlagzState) -> list[int]:
        """Returns what the mover can place on every cell, 0 for nothing, on the host."""
        rows = _observed(self, state)[..., 3].tolist()
        return [round(number * _HIGHEST) for row in rows for number in row]

    def _symmetry(self, left_right: bool, up_down: bool) -> Symmetry[FlagzState]:
        """Returns these reflections, one after the other."""

        def map_state(state: FlagzState) -> FlagzState:
            planes = []
            for grid in self._grids([tuple(plane) for plane in state.cells]):
                if left_right:
                    # Odd rows turn without the cell they lack.
                    short = jnp.append(grid[:, -2::-1], grid[:, -1:], axis=1)
                    odd = jnp.arange(self.rows)[:, None] % 2 == 1
                    grid = jnp.where(odd, short, grid[:, ::-1])
                planes.append(pack((grid[::-1] if up_down else grid).reshape(-1)))
            return FlagzState(cells=jnp.stack(planes), player=state.player, over=state.over)

        images = []
        for row in range(self.rows):
            lacking = row % 2
            for column in range(self.columns):
                is_real = column < self.columns - lacking
                to_column = (
                    self.columns - 1 - lacking - column if left_right and is_real else column
                )
                to_row = self.rows - 1 - row if up_down else row
                images.append(self.columns * to_row + to_column)
        names = {(True, False): "left-right", (False, True): "up-down", (True, True): "half turn"}
        return Symmetry(
            name=names[left_right, up_down],
            map_state=map_state,
            permutation=(*images, *(self.num_cells + image for image in images)),
        )


def _having(bits: Sequence[Cells], value: int) -> Cells:
    """Returns the cells of this value, whoever owns them."""
    one, two, four = (
        plane if value >> number & 1 else tuple(~word for word in plane)
        for number, plane in enumerate(bits)
    )
    return both(both(one, two), four)


def _settled(cells: Sequence[UInt32[Array, "..."]]) -> tuple[UInt32[Array, "..."], ...]:
    """Returns the same words, computed once."""
    # XLA fuses what is computed from bits into every word, and into every cell of an array, that
    # comes of it, and computes it there anew (measured on a CPU: 30 times the time of a mask, 500
    # times that of a move). A sum ends that.
    words = jnp.stack(cells)
    return tuple(jnp.stack([words, jnp.zeros_like(words)]).sum(axis=0, dtype=jnp.uint32))


def _count(cells: Cells) -> Int32[Array, ""]:
    return jax.lax.population_count(jnp.stack(cells)).astype(jnp.int32).sum()


def _score(cells: Cells, bits: Sequence[Cells]) -> Int32[Array, ""]:
    """Returns the sum of the numbers on a player's cells."""
    counts = jax.lax.population_count(jnp.array([both(cells, plane) for plane in bits]))
    return (counts.astype(jnp.int32) << jnp.arange(3).reshape(-1, 1)).sum()


def _scores(pieces: Sequence[str]) -> list[int]:
    """Returns the score of each player by the names of all pieces, on the host."""
    owned = [piece.split() for piece in pieces]
    return [
        sum(int(own[1]) for own in owned if own[:1] == [symbol] and own[1].isdecimal())
        for symbol in _SYMBOLS
    ]


# In one program: op by op it takes seconds the first time.
@functools.partial(jax.jit, static_argnums=0)
def _observed(game: Flagz, state: FlagzState) -> Float32[Array, "rows columns 11"]:
    return game.observe(state)
