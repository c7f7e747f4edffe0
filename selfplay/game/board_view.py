"""What a graphical board shows of one position, and what is wrong with such a description."""

import dataclasses
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, get_args

BoardKind = Literal["square", "hex", "lines", "edges", "pits", "wedges"]
Side = Literal["top", "bottom", "left", "right"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoardView:
    """What a generic board shows of one position; built on the host, never under `jit`.

    The first five attributes suffice; every other one may be left out. Cells are numbered through:
    those of the board row by row, then `hands[0]`, `hands[1]` and `dice`.

    A piece is named by a shape, by a shape and a text ("x 5", "white king"), or by a text alone.
    Shapes are the discs "black", "white", "red", "yellow", "blue", "green" and "grey", the marks
    "x" of player 0 and "o" of player 1 (discs of theirs if a text follows; "x5" is "x 5"), and
    "line", "dot", "rock", "flag", "crown", "tower", "lifted". Any other name is shown as text.

    Attributes:
        kind: how the cells are laid out. "square"; "hex", where every second row, from the second
            on, lies half a cell to the right; "lines", with pieces on the crossings; "edges",
            with dots in even rows and columns, boxes in odd ones, and lines between them;
            "pits", which show a number as seeds, and in which a cell with a void above or below
            it takes both rows; "wedges", two rows of long points on which a number is that many
            pieces.
        rows: number of rows.
        columns: number of columns.
        cells: `rows * columns` piece names, row by row from the top; "" is empty, "void" is no
            cell at all.
        clicks: which clicks mean which action: a tuple of cell numbers, in the order they are
            clicked, to an action number. The empty tuple is a move without a cell, such as a
            pass: a button.
        players: what the pieces of player 0 and player 1 are called: whoever plays gets that colour
            beside the board.
        hands: none, or two: the pieces that player 0 and player 1 have beside the board.
        dice: numbers that are to be played, shown as faces of dice.
        counters: names of numbers beside the board, each with that of player 0 and of player 1.
        owners: none, or for every cell of the board the player, 0 or 1, in whose colour it is
            tinted, None for neither.
        shaded: cells drawn in a second shade: dark squares, star points, trays without a wedge.
        highlights: cells to stress, such as a winning line. The last move needs none.
        lines: of kind "lines", which points are joined; none joins all neighbours in a row or
            column.
        goals: sides of the board that belong to a player: they get a border in the player's colour.
        row_labels: none, or one coordinate for every row.
        column_labels: none, or one for every column; twice as many are those above the board,
            then those below it.
        note: a line of text below the board.

    >>> view = BoardView(kind="square", rows=1, columns=2, cells=["x", ""], clicks={(1,): 1})
    >>> view.clicks[(1,)]  # a click on the second cell is action 1
    1
    """

    kind: BoardKind
    rows: int
    columns: int
    cells: Sequence[str]
    clicks: Mapping[tuple[int, ...], int]
    players: Sequence[str] = ("x", "o")
    hands: Sequence[Sequence[str]] = ()
    dice: Sequence[int] = ()
    counters: Mapping[str, Sequence[int | float | str]] = dataclasses.field(default_factory=dict)
    owners: Sequence[int | None] = ()
    shaded: Collection[int] = ()
    highlights: Collection[int] = ()
    lines: Sequence[tuple[int, int]] = ()
    goals: Mapping[Side, int] = dataclasses.field(default_factory=dict)
    row_labels: Sequence[str] = ()
    column_labels: Sequence[str] = ()
    note: str = ""

    @property
    def num_cells(self) -> int:
        """Returns how many cells there are, with those of hands and dice."""
        return self.rows * self.columns + sum(map(len, self.hands)) + len(self.dice)


def board_faults(view: BoardView, legal: Collection[int] | None) -> Iterator[str]:
    """Yields what is wrong with the description of a position, in words.

    Args:
        view: of the position.
        legal: the actions that are legal there, which clicks must be exactly; None at the end of a
            match, where clicks are not asked about.
    """
    if view.kind not in get_args(BoardKind):
        kinds = ", ".join(get_args(BoardKind))
        yield f"kind is {view.kind!r}, but must be one of {kinds}"
    count = view.rows * view.columns
    if len(view.cells) != count:
        yield f"board has {len(view.cells)} cells, but {view.rows} x {view.columns}"
    yield from _misfits(view, count)
    for cell in itertools.chain.from_iterable(view.clicks):
        if not 0 <= cell < view.num_cells:
            yield f"a click names cell {cell} of {view.num_cells}"
            break
    if legal is None:
        return
    clickable = set(view.clicks.values())
    if missing := sorted(set(legal) - clickable):
        yield f"legal action {missing[0]} has no click"
    if extra := sorted(clickable - set(legal)):
        yield f"a click stands for action {extra[0]}, which is illegal"
    for path in view.clicks:
        # The empty path is a button and begins no other.
        for length in range(1, len(path)):
            if path[:length] in view.clicks:
                yield f"clicks {path} cannot be made: {path[:length]} is a move already"
                return


def _misfits(view: BoardView, count: int) -> Iterator[str]:
    """Yields optional attributes of a wrong length or with a number out of range."""
    if len(view.players) != 2:
        yield f"players has {len(view.players)} names, but must have 2"
    if len(view.hands) not in (0, 2):
        yield f"hands are of {len(view.hands)} players, but must be none or those of 2"
    if view.owners and len(view.owners) != count:
        yield f"owners has {len(view.owners)} entries, but must have none or {count}"
    if view.row_labels and len(view.row_labels) != view.rows:
        yield f"row_labels has {len(view.row_labels)} entries, but must have none or {view.rows}"
    if view.column_labels and len(view.column_labels) not in (view.columns, 2 * view.columns):
        yield (
            f"column_labels has {len(view.column_labels)} entries, but must have none, "
            f"{view.columns} or {2 * view.columns}"
        )
    for name, pair in view.counters.items():
        if len(pair) != 2:
            yield f"counter {name!r} has {len(pair)} entries, but must have 2"
    cells = {
        "shaded": view.shaded,
        "highlights": view.highlights,
        "lines": list(itertools.chain.from_iterable(view.lines)),
    }
    for name, numbers in cells.items():
        last = view.num_cells if name == "highlights" else count
        if wrong := [cell for cell in numbers if not 0 <= cell < last]:
            yield f"{name} names cell {wrong[0]} of {last}"
    for name, players in (("owners", view.owners), ("goals", list(view.goals.values()))):
        if wrong_players := [player for player in players if player not in (0, 1, None)]:
            yield f"{name} names player {wrong_players[0]}, but players are 0 and 1"
    if wrong_sides := [side for side in view.goals if side not in get_args(Side)]:
        yield f"goals names {wrong_sides[0]!r}, but sides are {', '.join(get_args(Side))}"
