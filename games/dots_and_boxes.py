"""Dots and boxes: draw lines between dots; who closes a box owns it and draws again."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key, UInt8

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
_LETTERS = "abcdefghijklmno"
_SOLVER_LIMIT = 20_000


@pytree
class DotsAndBoxesState:
    """A position: 11 bytes with 3 by 3 boxes.

    Attributes:
        across: the lines drawn from left to right, a bit mask for each row of dots; the leftmost
            line in bit 0.
        down: the lines drawn from top to bottom, a bit mask for each row of boxes.
        first: the boxes of player 0, a bit mask for each row; all other closed ones are player 1's.
        player: who is to move.
    """

    across: UInt8[Array, " rows_of_dots"]
    down: UInt8[Array, " rows"]
    first: UInt8[Array, " rows"]
    player: Int8[Array, ""]


class DotsAndBoxes(Game[DotsAndBoxesState]):
    """Dots and boxes; player 0 (x) begins.

    Args:
        rows: rows of boxes, 1 to 7.
        columns: columns of boxes, 1 to 7.
        margin: whether the result is the share of boxes won or lost by, not just who won.
    """

    name = "dots_and_boxes"
    suite_file = "suites/dots_and_boxes.txt"

    def __init__(self, rows: int = 3, columns: int = 3, margin: bool = False) -> None:
        for option, value in (("rows", rows), ("columns", columns)):
            if not 1 <= value <= 7:
                raise ConfigError(
                    f"dots_and_boxes: {option} is {value}, but must be between 1 and 7"
                )
        self.rows = rows
        self.columns = columns
        self.margin = margin
        self.lines_across = (rows + 1) * columns
        self.num_actions = self.lines_across + rows * (columns + 1)
        self.max_plies = self.num_actions
        # For each line the boxes beside it, each as a bit mask of its four lines.
        boxes = [self._sides(row, column) for row in range(rows) for column in range(columns)]
        self._boxes_beside = [
            [sides for sides in boxes if sides >> action & 1] for action in range(self.num_actions)
        ]

    def init(self, key: Key[Array, ""]) -> DotsAndBoxesState:
        """Returns the dots without a line."""
        return DotsAndBoxesState(
            across=jnp.zeros((self.rows + 1,), jnp.uint8),
            down=jnp.zeros((self.rows,), jnp.uint8),
            first=jnp.zeros((self.rows,), jnp.uint8),
            player=jnp.int8(0),
        )

    def step(self, state: DotsAndBoxesState, action: Int32[Array, ""]) -> DotsAndBoxesState:
        """Returns the position after drawing line `action`; closing a box moves again."""
        is_across = action < self.lines_across
        place = jnp.where(is_across, action, action - self.lines_across)
        width = jnp.where(is_across, self.columns, self.columns + 1)
        row, bit = place // width, jnp.uint8(1) << (place % width).astype(jnp.uint8)
        across, down = (
            drawn | jnp.where((jnp.arange(drawn.size) == row) & is_its_kind, bit, jnp.uint8(0))
            for drawn, is_its_kind in ((state.across, is_across), (state.down, ~is_across))
        )
        closed = self._closed(across, down) & ~self._closed(state.across, state.down)
        return DotsAndBoxesState(
            across=across,
            down=down,
            first=state.first | jnp.where(state.player == 0, closed, jnp.uint8(0)),
            player=jnp.where(closed.any(), state.player, 1 - state.player),
        )

    def current_player(self, state: DotsAndBoxesState) -> Int32[Array, ""]:
        """Returns who is to move: the same player again after closing a box."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: DotsAndBoxesState) -> Bool[Array, " A"]:
        """Returns the lines that are not drawn."""
        across = _bits(state.across, self.columns)
        down = _bits(state.down, self.columns + 1)
        return ~jnp.concatenate([across.reshape(-1), down.reshape(-1)])

    def is_terminal(self, state: DotsAndBoxesState) -> Bool[Array, ""]:
        """Returns whether every line is drawn."""
        full = (1 << self.columns) - 1
        return (state.across == full).all() & (state.down == 2 * full + 1).all()

    def returns(self, state: DotsAndBoxesState) -> Float32[Array, "2"]:
        """Returns 1 for the player with more boxes and -1 for the other, or 0 for both.

        With the option `margin`, the difference of their boxes divided by the number of boxes.
        """
        first, second = self._owners(state)
        share = (_count(first) - _count(second)).astype(jnp.float32) / (self.rows * self.columns)
        result = share if self.margin else jnp.sign(share)
        return jnp.stack([result, -result])

    def observe(self, state: DotsAndBoxesState) -> Float32[Array, "dot_rows dot_columns 4"]:
        """Returns four planes with a cell for every dot, the top row first.

        The line that leads right from the dot, the line that leads down from it, and whether the
        box to the right and below is the mover's or the opponent's.
        """
        first, second = self._owners(state)
        is_first = state.player == 0
        own, opponent = jnp.where(is_first, first, second), jnp.where(is_first, second, first)
        below = [
            jnp.pad(_bits(drawn, self.columns + 1), ((0, 1), (0, 0)))
            for drawn in (state.down, own, opponent)
        ]
        planes = [_bits(state.across, self.columns + 1), *below]
        return jnp.stack(planes, axis=-1).astype(jnp.float32)

    def symmetries(self) -> Sequence[Symmetry[DotsAndBoxesState]]:
        """Returns the reflections and the half turn; a square board has quarter turns too."""
        diagonals = (False, True) if self.rows == self.columns else (False,)
        images = [
            self._symmetry(left_right, up_down, diagonal)
            for diagonal in diagonals
            for up_down in (False, True)
            for left_right in (False, True)
        ]
        identity = tuple(range(self.num_actions))
        return [image for image in images if image.permutation != identity]

    def auxiliary_targets(
        self, state: DotsAndBoxesState, final_state: DotsAndBoxesState
    ) -> dict[str, Array]:
        """Returns who owns each box at the end, and by how many boxes.

        Returns:
            "ownership", [rows, columns]: 1 own, -1 the opponent's, 0 open; "score_margin", []:
            boxes more than the opponent, divided by the number of boxes.
        """
        first, second = (
            _bits(boxes, self.columns).astype(jnp.float32) for boxes in self._owners(final_state)
        )
        ownership = jnp.where(state.player == 0, first - second, second - first)
        return {"ownership": ownership, "score_margin": ownership.mean()}

    def render(self, state: DotsAndBoxesState) -> str:
        """Returns dots, lines and owners with coordinates, and who is to move or has won."""
        picture = self._picture(state, ("+", "-", "|", *_SYMBOLS))
        width = len(str(2 * self.rows + 1))
        lines = [
            f"{number:>{width}} {' '.join(entry or ' ' for entry in row)}".rstrip()
            for number, row in enumerate(picture, start=1)
        ]
        letters = " " * (width + 1) + " ".join(_LETTERS[: 2 * self.columns + 1])
        counts = [sum(row.count(symbol) for row in picture) for symbol in _SYMBOLS]
        if not bool(self.is_terminal(state)):
            status = f"{_SYMBOLS[int(state.player)]} to move"
        elif counts[0] == counts[1]:
            status = "draw"
        else:
            status = f"{_SYMBOLS[counts[1] > counts[0]]} wins"
        score = ", ".join(f"{s} {count}" for s, count in zip(_SYMBOLS, counts, strict=True))
        return "\n".join([letters, *lines, f"{status} ({score})"])

    def action_to_string(self, state: DotsAndBoxesState, action: int) -> str:
        """Returns where the line lies among dots and boxes, "b1" being the first at the top."""
        row, column = self._place(action)
        return f"{_LETTERS[column]}{row + 1}"

    def board(self, state: DotsAndBoxesState) -> BoardView:
        """Returns dots, lines and boxes as cells; a click between two dots draws the line."""
        picture = self._picture(state, ("dot", "line", "line", *_SYMBOLS))
        columns = 2 * self.columns + 1
        places = {action: self._place(action) for action in legal_actions(self, state)}
        return BoardView(
            kind="edges",
            rows=2 * self.rows + 1,
            columns=columns,
            cells=[entry for row in picture for entry in row],
            clicks={(row * columns + column,): action for action, (row, column) in places.items()},
            counters={"boxes": [sum(row.count(one) for row in picture) for one in _SYMBOLS]},
            row_labels=[str(row + 1) for row in range(2 * self.rows + 1)],
            column_labels=_LETTERS[:columns],
        )

    def solve(self, state: DotsAndBoxesState) -> Solution | None:
        """Returns the exact solution, or None if it takes more than 20,000 positions to find."""
        legal = self.legal_action_mask(state).tolist()
        counts = [sum(mask.bit_count() for mask in boxes.tolist()) for boxes in self._owners(state)]
        player = int(state.player)
        lines = _Lines(
            free=sum(1 << action for action, is_free in enumerate(legal) if is_free),
            lead=counts[player] - counts[1 - player],
            boxes=self.rows * self.columns - sum(counts),
        )
        return solve_exactly(self._replies(lines), self._expand, max_positions=_SOLVER_LIMIT)

    def _expand(self, lines: "_Lines") -> float | list[Reply]:
        """Returns the result if it is decided, else what follows each line, on the host."""
        lead = lines.lead
        if lines.free and (self.margin or abs(lead) <= lines.boxes):
            return self._replies(lines)
        if self.margin:
            return lead / (self.rows * self.columns)
        return float((lead > 0) - (lead < 0))

    def _replies(self, lines: "_Lines") -> list[Reply]:
        """Returns what follows each free line.

        First come those that close boxes, last those that leave a box with three sides.
        """
        free, lead, boxes = lines
        found = []
        for action, touched in enumerate(self._boxes_beside):
            line = 1 << action
            if not free & line:
                continue
            left = free ^ line
            open_sides = [(left & sides).bit_count() for sides in touched]
            closed = open_sides.count(0)
            if closed:
                position = _Lines(left, lead + closed, boxes - closed)
            else:
                position = _Lines(left, -lead, boxes)
            rank = open_sides.count(1) - 4 * closed
            found.append((rank, Reply(action, position, closed > 0)))
        found.sort(key=_first)
        return [reply for _, reply in found]

    def _closed(
        self, across: UInt8[Array, " rows_of_dots"], down: UInt8[Array, " rows"]
    ) -> UInt8[Array, " rows"]:
        """Returns the boxes with four sides, a bit mask for each row."""
        return across[:-1] & across[1:] & down & down >> 1

    def _owners(
        self, state: DotsAndBoxesState
    ) -> tuple[UInt8[Array, " rows"], UInt8[Array, " rows"]]:
        """Returns the boxes of player 0 and of player 1."""
        return state.first, self._closed(state.across, state.down) & ~state.first

    def _sides(self, row: int, column: int) -> int:
        """Returns the four lines around a box as a bit mask of actions."""
        above = row * self.columns + column
        left = self.lines_across + row * (self.columns + 1) + column
        return 1 << above | 1 << above + self.columns | 1 << left | 1 << left + 1

    def _place(self, action: int) -> tuple[int, int]:
        """Returns where a line lies in a grid that has dots, lines and boxes as its cells."""
        if action < self.lines_across:
            row, column = divmod(action, self.columns)
            return 2 * row, 2 * column + 1
        row, column = divmod(action - self.lines_across, self.columns + 1)
        return 2 * row + 1, 2 * column

    def _picture(self, state: DotsAndBoxesState, names: Sequence[str]) -> list[list[str]]:
        """Returns that grid on the host; names are for dot, line across, line down, x and o."""
        dot, across, down, *owners = names
        picture = [[""] * (2 * self.columns + 1) for _ in range(2 * self.rows + 1)]
        for line in picture[::2]:
            line[::2] = [dot] * (self.columns + 1)
        legal = self.legal_action_mask(state).tolist()
        for action in range(self.num_actions):
            row, column = self._place(action)
            if not legal[action]:
                picture[row][column] = across if row % 2 == 0 else down
        for owner, boxes in zip(owners, self._owners(state), strict=True):
            for row, mask in enumerate(boxes.tolist()):
                for column in range(self.columns):
                    if mask >> column & 1:
                        picture[2 * row + 1][2 * column + 1] = owner
        return picture

    def _symmetry(
        self, left_right: bool, up_down: bool, diagonal: bool
    ) -> Symmetry[DotsAndBoxesState]:
        """Returns these reflections, one after the other."""

        def image_of(grid: Bool[Array, "height width"]) -> Bool[Array, "new_height new_width"]:
            grid = grid[:, ::-1] if left_right else grid
            grid = grid[::-1] if up_down else grid
            return grid.T if diagonal else grid

        def map_state(state: DotsAndBoxesState) -> DotsAndBoxesState:
            across = _pack(image_of(_bits(state.across, self.columns)))
            down = _pack(image_of(_bits(state.down, self.columns + 1)))
            return DotsAndBoxesState(
                across=down if diagonal else across,
                down=across if diagonal else down,
                first=_pack(image_of(_bits(state.first, self.columns))),
                player=state.player,
            )

        numbers = {self._place(action): action for action in range(self.num_actions)}
        permutation = []
        for row, column in numbers:
            row = 2 * self.rows - row if up_down else row
            column = 2 * self.columns - column if left_right else column
            permutation.append(numbers[(column, row) if diagonal else (row, column)])
        names = [
            name
            for name, applies in (
                ("left-right", left_right), ("up-down", up_down), ("diagonal", diagonal)
            )
            if applies
        ]  # fmt: skip
        return Symmetry(
            name=", ".join(names) or "identity",
            map_state=map_state,
            permutation=tuple(permutation),
        )


class _Lines(NamedTuple):
    """A position on the host, seen by the player to move.

    Attributes:
        free: the lines that are not drawn, as a bit mask of actions.
        lead: own boxes less the opponent's.
        boxes: how many are still open.
    """

    free: int
    lead: int
    boxes: int


def _first(ranked: tuple[int, Reply]) -> int:
    return ranked[0]


def _bits(masks: UInt8[Array, " height"], width: int) -> Bool[Array, "height width"]:
    """Returns bit masks as an array."""
    return masks[:, None] >> jnp.arange(width, dtype=jnp.uint8)[None] & 1 != 0


def _pack(grid: Bool[Array, "height width"]) -> UInt8[Array, " height"]:
    """Returns an array as bit masks."""
    places = jnp.arange(grid.shape[1], dtype=jnp.uint8)
    return (grid.astype(jnp.uint8) << places[None]).sum(axis=1, dtype=jnp.uint8)


def _count(masks: UInt8[Array, " rows"]) -> Int32[Array, ""]:
    return jax.lax.population_count(masks).astype(jnp.int32).sum()
