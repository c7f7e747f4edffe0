"""Exact solutions of Hex positions: bit masks, cells that win at once, and a search to the end."""

from typing import NamedTuple

from selfplay.game import Reply, Solution, solve_exactly


class Stones(NamedTuple):
    """The stones of one player, as bit masks of cells.

    A row has one bit more than the board has columns, always empty, so that no cell has
    neighbours in another row than its own or the next ones; the top left cell is bit 0.

    Attributes:
        first: those that are joined to the player's first side: the top, or the left.
        last: those that are joined to the other side.
        other: the rest.
    """

    first: int
    last: int
    other: int


class Board(NamedTuple):
    """A position in which nobody has won.

    Attributes:
        player: who is to move: 0 joins top and bottom, 1 left and right.
        own: stones of the player to move.
        opponent: the other stones.
    """

    player: int
    own: Stones
    opponent: Stones


class HexSolver:
    """Solves positions of one size of board, by the rules without a swap."""

    def __init__(self, size: int) -> None:
        """Prepares the masks of a board of `size` by `size`."""
        self._stride = size + 1
        column = sum(1 << self._stride * row for row in range(size))
        row = (1 << size) - 1
        below = self._stride * (size - 1)
        self._cells = column * row
        # For each player the cells of the first side and of the last one.
        self._sides = ((row, row << below), (column, column << size - 1))
        self._bits = [
            1 << self._stride * (cell // size) + cell % size for cell in range(size * size)
        ]
        middle = (size - 1) / 2
        self._order = sorted(
            range(size * size),
            key=lambda cell: max(abs(cell // size - middle), abs(cell % size - middle)),
        )

    def replies(self, player: int, own: list[int], opponent: list[int]) -> list[Reply]:
        """Returns every move of a position that nobody has won, but for a swap.

        Args:
            player: who is to move.
            own: the cells with stones of the player to move, numbered row by row.
            opponent: the other stones.
        """
        board = Board(player, self._stones(player, own), self._stones(1 - player, opponent))
        return self._replies(board, self._cells & ~self._taken(board))

    def swapped(self, cell: int) -> Reply:
        """Returns the swap of a first stone, as a move with the number behind the last cell."""
        size = self._stride - 1
        row, column = divmod(cell, size)
        mirrored = self._stones(1, [column * size + row])
        return Reply(size * size, Board(0, self._stones(0, []), mirrored))

    def solve(self, replies: list[Reply], *, max_positions: int) -> Solution | None:
        """Returns the exact solution of the position that has these moves, None beyond the limit.

        Args:
            replies: what `replies` and `swapped` return.
            max_positions: how many positions may be looked at.
        """
        return solve_exactly(replies, self._expand, max_positions=max_positions)

    def _expand(self, board: Board) -> float | list[Reply]:
        """Returns the value where it is plain to see, else the moves that do not lose at once."""
        player, own, opponent = board
        if opponent.first & opponent.last:
            return -1.0
        empty = self._cells & ~self._taken(board)
        if self._winning(player, own) & empty:
            return 1.0
        forced = self._winning(1 - player, opponent) & empty
        if forced & forced - 1:
            return -1.0  # two cells to block
        return self._replies(board, forced or empty)

    def _replies(self, board: Board, cells: int) -> list[Reply]:
        """Returns the moves to some cells, those first that reach the farthest."""
        player, own, opponent = board
        empty = self._cells & ~self._taken(board)
        found = []
        for cell in self._order:
            bit = self._bits[cell]
            if cells & bit:
                after = self._placed(player, own, bit)
                rank = -(self._winning(player, after) & empty).bit_count()
                found.append((rank, Reply(cell, Board(1 - player, opponent, after))))
        found.sort(key=_first)
        return [reply for _, reply in found]

    def _winning(self, player: int, stones: Stones) -> int:
        """Returns the cells that touch both a player's sides, or what is joined to them."""
        first, last = self._sides[player]
        return (self._beside(stones.first) | first) & (self._beside(stones.last) | last)

    def _placed(self, player: int, stones: Stones, bit: int) -> Stones:
        """Returns the stones with one more."""
        first, last, other = stones
        sides = self._sides[player]
        group = bit
        touched = self._beside(bit)
        joins_first = bool(touched & first or bit & sides[0])
        joins_last = bool(touched & last or bit & sides[1])
        if not (joins_first or joins_last):
            return Stones(first, last, other | bit)
        while more := touched & other & ~group:
            group |= more
            touched = self._beside(group)
        # What was joined to nothing before can join both sides only through the new stone.
        return Stones(
            first | group if joins_first else first,
            last | group if joins_last else last,
            other & ~group,
        )

    def _beside(self, cells: int) -> int:
        """Returns the neighbours of some cells; some of these cells may be among them."""
        stride = self._stride
        return (
            cells << 1 | cells >> 1
            | cells << stride | cells >> stride
            | cells << stride - 1 | cells >> stride - 1
        ) & self._cells  # fmt: skip

    def _taken(self, board: Board) -> int:
        own, opponent = board.own, board.opponent
        return own.first | own.last | own.other | opponent.first | opponent.last | opponent.other

    def _stones(self, player: int, cells: list[int]) -> Stones:
        stones = Stones(0, 0, 0)
        for cell in cells:
            stones = self._placed(player, stones, self._bits[cell])
        return stones


def _first(ranked: tuple[int, Reply]) -> int:
    return ranked[0]
