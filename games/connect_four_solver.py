"""Exact solutions of Connect Four positions: bit masks, threats, and a search to the end."""

from typing import NamedTuple

from selfplay.game import Reply, Solution, solve_exactly


class Discs(NamedTuple):
    """A position, seen by the player to move; bit masks of cells.

    A column has one bit more than the board has rows, always empty, so that no line runs from the
    top of one column into the next; the bottom row of the leftmost column is bit 0.

    Attributes:
        own: discs of the player to move.
        opponent: the other discs.
        own_threats: the free cells in which a disc makes four for the player to move.
        opponent_threats: likewise for the opponent.
    """

    own: int
    opponent: int
    own_threats: int
    opponent_threats: int


class ConnectFourSolver:
    """Solves positions of one size of board."""

    def __init__(self, rows: int, columns: int) -> None:
        """Prepares the masks of a board of `rows` by `columns`."""
        self._stride = rows + 1
        self._bottom = sum(1 << column * self._stride for column in range(columns))
        self._cells = self._bottom * ((1 << rows) - 1)
        # From the centre outwards: most lines run through the centre.
        self._columns = [
            (column, ((1 << rows) - 1) << column * self._stride)
            for column in sorted(range(columns), key=lambda column: abs(2 * column - columns + 1))
        ]

    def solve(self, own: list[int], opponent: list[int], *, max_positions: int) -> Solution | None:
        """Returns the exact solution of a position that is not over, None beyond the limit.

        Args:
            own: for each column the discs of the player to move as a bit mask, the bottom row in
                bit 0.
            opponent: likewise.
            max_positions: how many positions may be looked at.
        """
        stones = [
            sum(mask << column * self._stride for column, mask in enumerate(masks))
            for masks in (own, opponent)
        ]
        threats = [self._threats(some) & ~(stones[0] | stones[1]) for some in stones]
        discs = Discs(*stones, *threats)
        landing = ((discs.own | discs.opponent) + self._bottom) & self._cells
        return solve_exactly(
            self._replies(discs, landing), self._expand, max_positions=max_positions
        )

    def _expand(self, discs: Discs) -> float | list[Reply]:
        """Returns the value where it is plain to see, else the moves that do not lose at once."""
        own, opponent, own_threats, opponent_threats = discs
        landing = ((own | opponent) + self._bottom) & self._cells
        if self._lines(opponent):
            return -1.0
        if own_threats & landing:
            return 1.0
        if not landing:
            return 0.0
        forced = opponent_threats & landing
        if forced:
            if forced & forced - 1:
                return -1.0  # two cells to block
            landing = forced
        # A disc right below a threat of the opponent lets it be used.
        landing &= ~(opponent_threats >> 1)
        if not landing:
            return -1.0
        if not self._lines(self._cells & ~opponent) and not self._lines(self._cells & ~own):
            return 0.0  # no line is open any more
        return self._replies(discs, landing)

    def _replies(self, discs: Discs, landing: int) -> list[Reply]:
        """Returns the moves to some cells, the most threatening first."""
        own, opponent, _, opponent_threats = discs
        found = []
        for column, mask in self._columns:
            cell = landing & mask
            if cell:
                after = own | cell
                threats = self._threats(after) & ~(after | opponent)
                position = Discs(opponent, after, opponent_threats & ~cell, threats)
                found.append((-threats.bit_count(), Reply(column, position)))
        found.sort(key=_first)
        return [reply for _, reply in found]

    def _threats(self, stones: int) -> int:
        """Returns every cell of the board that makes four with three of the stones."""
        found = stones << 1 & stones << 2 & stones << 3
        for step in (self._stride, self._stride - 1, self._stride + 1):
            ahead, behind = stones << step, stones >> step
            pair = ahead & stones << 2 * step
            found |= pair & (stones << 3 * step | behind)
            pair = behind & stones >> 2 * step
            found |= pair & (ahead | stones >> 3 * step)
        return found & self._cells

    def _lines(self, cells: int) -> int:
        """Returns the first cells of all fours in a line."""
        found = 0
        for step in (1, self._stride, self._stride - 1, self._stride + 1):
            pairs = cells & cells >> step
            found |= pairs & pairs >> 2 * step
        return found


def _first(ranked: tuple[int, Reply]) -> int:
    return ranked[0]
