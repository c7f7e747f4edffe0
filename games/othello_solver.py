"""Exact solutions of Othello endings: bit masks, and a search to the end."""

from typing import NamedTuple

from selfplay.game import Reply, Solution, solve_exactly


class Board(NamedTuple):
    """A position, seen by the player to move; bit masks of cells, row by row from the top left.

    Attributes:
        own: discs of the player to move.
        opponent: the other discs.
    """

    own: int
    opponent: int


class OthelloSolver:
    """Solves endings on one size of board."""

    def __init__(self, size: int) -> None:
        """Prepares the masks of a square board."""
        cells = size * size
        self.pass_action = cells
        self._all = (1 << cells) - 1
        inner = sum((1 << size) - 2 - (1 << size - 1) << size * row for row in range(size))
        # Each line of the board in both directions: the distance of neighbours, and the cells
        # that a run may go on from without leaving its row.
        self._steps = [(1, inner), (size, self._all), (size - 1, inner), (size + 1, inner)]
        self._longest = range(size - 3)
        edge = range(size)
        corners = sum(1 << (size * row + column) for row in edge[:: size - 1]
                      for column in edge[:: size - 1])  # fmt: skip
        self._corners = corners

    def solve(self, own: int, opponent: int, *, max_positions: int) -> Solution | None:
        """Returns the exact solution of a position that is not over, None beyond the limit.

        Args:
            own: discs of the player to move, as bits, row by row from the top left.
            opponent: the other discs.
            max_positions: how many positions may be looked at.
        """
        board = Board(own, opponent)
        replies = self._replies(board, self._placements(board))
        if not replies:
            replies = [Reply(self.pass_action, Board(opponent, own))]
        return solve_exactly(replies, self._expand, max_positions=max_positions)

    def _expand(self, board: Board) -> float | list[Reply]:
        """Returns the result if nobody can move, else what follows each move."""
        placements = self._placements(board)
        if placements:
            return self._replies(board, placements)
        turned = Board(board.opponent, board.own)
        if self._placements(turned):
            return [Reply(self.pass_action, turned)]
        margin = board.own.bit_count() - board.opponent.bit_count()
        return float((margin > 0) - (margin < 0))

    def _replies(self, board: Board, placements: int) -> list[Reply]:
        """Returns the moves, those first that leave the opponent the fewest answers."""
        own, opponent = board
        found = []
        while placements:
            disc = placements & -placements
            placements ^= disc
            turned = self._turned(disc, own, opponent)
            after = Board(opponent & ~turned, own | turned | disc)
            answers = self._placements(after)
            rank = answers.bit_count() + (answers & self._corners).bit_count()
            rank -= 2 * bool(disc & self._corners)
            found.append((rank, Reply(disc.bit_length() - 1, after)))
        found.sort(key=_first)
        return [reply for _, reply in found]

    def _placements(self, board: Board) -> int:
        """Returns the empty cells where a disc encloses some of the opponent's."""
        own, opponent = board
        found = 0
        for step, cells in self._steps:
            passable = opponent & cells
            ahead, behind = own << step & passable, own >> step & passable
            for _ in self._longest:
                ahead |= ahead << step & passable
                behind |= behind >> step & passable
            found |= ahead << step | behind >> step
        return found & self._all & ~(own | opponent)

    def _turned(self, disc: int, own: int, opponent: int) -> int:
        """Returns the opponent's discs between a new disc and the others of its colour."""
        turned = 0
        for step, cells in self._steps:
            passable = opponent & cells
            run, at = 0, disc << step
            while at & passable:
                run |= at
                at <<= step
            if at & own:
                turned |= run
            run, at = 0, disc >> step
            while at & passable:
                run |= at
                at >>= step
            if at & own:
                turned |= run
        return turned


def _first(ranked: tuple[int, Reply]) -> int:
    return ranked[0]
