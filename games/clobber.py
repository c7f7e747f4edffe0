"""Clobber: take a neighbour or lose; written in plain Python, without JAX."""

from selfplay.adapters import PythonGame
from selfplay.errors import ConfigError
from selfplay.game import BoardView, Reply, Solution, solve_exactly

_PIECES = ("x", "o")
# Up, right, down, left.
_DIRECTIONS = ((-1, 0), (0, 1), (1, 0), (0, -1))
_SOLVER_LIMIT = 5_000

Position = tuple[list[list[int]], int]
"""The board, row by row from the top (-1 empty, else whose stone), and who is to move."""
_Stones = tuple[int, int]
"""The stones of the player to move and of the opponent, as bit masks of cells, row by row."""


class Clobber(PythonGame[Position]):
    """Clobber, in plain Python: take a neighbour or lose; player 0 (x) begins."""

    name = "clobber"
    suite_file = "suites/clobber.txt"

    def __init__(self, *, rows: int = 5, columns: int = 6) -> None:
        """Sets up a board of `rows` by `columns`, each 2 to 12."""
        for side, length in (("rows", rows), ("columns", columns)):
            if not 2 <= length <= 12:
                raise ConfigError(f"clobber: {side} is {length}, but must be 2 to 12")
        self.rows = rows
        self.columns = columns
        self.num_actions = 4 * rows * columns
        # Every move takes a stone, and the last one stays.
        self.max_plies = rows * columns - 1
        # Every step within the board: its action, and bit masks of where from and where to.
        self._steps = []
        for action in range(self.num_actions):
            row, column, to_row, to_column = self._squares(action)
            if 0 <= to_row < rows and 0 <= to_column < columns:
                here, there = row * columns + column, to_row * columns + to_column
                self._steps.append((action, (1 << here, 1 << there)))
        self._pairs = [pair for _, pair in self._steps]

    def initial_state(self, rng: object) -> Position:
        """Returns the full board, stones alternating; x has the top left corner."""
        board = [[(row + column) % 2 for column in range(self.columns)] for row in range(self.rows)]
        return board, 0

    def apply(self, state: Position, action: int) -> Position:
        """Returns the position after a stone took its neighbour's place."""
        board, player = state
        row, column, to_row, to_column = self._squares(action)
        after = [list(line) for line in board]
        after[row][column] = -1
        after[to_row][to_column] = player
        return after, 1 - player

    def legal_actions(self, state: Position) -> list[int]:
        """Returns every step of an own stone onto an opponent's stone beside it."""
        board, player = state
        actions = []
        for row in range(self.rows):
            for column in range(self.columns):
                if board[row][column] != player:
                    continue
                for direction, (down, right) in enumerate(_DIRECTIONS):
                    to_row, to_column = row + down, column + right
                    inside = 0 <= to_row < self.rows and 0 <= to_column < self.columns
                    if inside and board[to_row][to_column] == 1 - player:
                        actions.append(4 * (row * self.columns + column) + direction)
        return actions

    def current_player(self, state: Position) -> int:
        """Returns who is to move; the players take turns."""
        return state[1]

    def is_terminal(self, state: Position) -> bool:
        """Returns whether the player to move cannot."""
        return not self.legal_actions(state)

    def returns(self, state: Position) -> tuple[float, float]:
        """Returns -1 for the player who cannot move and 1 for the other; 0 before that."""
        if not self.is_terminal(state):
            return 0.0, 0.0
        return (-1.0, 1.0) if state[1] == 0 else (1.0, -1.0)

    def observe(self, state: Position) -> list[list[list[float]]]:
        """Returns two planes: the mover's stones and the opponent's."""
        board, player = state
        return [
            [[float(cell == player), float(cell == 1 - player)] for cell in line] for line in board
        ]

    def render(self, state: Position) -> str:
        """Returns the board with its coordinates, and who is to move or has won."""
        board, player = state
        lines = [
            f"{self.rows - row:2} " + " ".join("." if cell < 0 else _PIECES[cell] for cell in line)
            for row, line in enumerate(board)
        ]
        letters = " ".join("abcdefghijkl"[: self.columns])
        over = self.is_terminal(state)
        status = f"{_PIECES[1 - player]} wins" if over else f"{_PIECES[player]} to move"
        return "\n".join([*lines, f"   {letters}", status])

    def action_to_string(self, state: Position, action: int) -> str:
        """Returns where from and where to, such as "a5b5"; "a1" is the bottom left corner."""
        row, column, to_row, to_column = self._squares(action)
        letters = "abcdefghijkl"
        # What points off the board is no move, but has a name all the same.
        to = letters[to_column] if 0 <= to_column < self.columns else "?"
        return f"{letters[column]}{self.rows - row}{to}{self.rows - to_row}"

    def board(self, state: Position) -> BoardView:
        """Returns the cells; a move is a click on a stone, then on its neighbour."""
        cells = ["" if cell < 0 else _PIECES[cell] for line in state[0] for cell in line]
        clicks: dict[tuple[int, ...], int] = {}
        for action in self.legal_actions(state):
            row, column, to_row, to_column = self._squares(action)
            here, there = row * self.columns + column, to_row * self.columns + to_column
            clicks[here, there] = action
        return BoardView(
            kind="square",
            rows=self.rows,
            columns=self.columns,
            cells=cells,
            clicks=clicks,
            row_labels=[str(self.rows - row) for row in range(self.rows)],
            column_labels="abcdefghijkl"[: self.columns],
        )

    def solve(self, state: Position) -> Solution | None:
        """Returns the exact solution, or None if it takes more than 5,000 positions to find."""
        board, player = state
        cells = [cell for line in board for cell in line]
        own, opponent = (
            sum(1 << index for index, cell in enumerate(cells) if cell == side)
            for side in (player, 1 - player)
        )
        replies = self._replies((own, opponent))
        return solve_exactly(replies, self._expand, max_positions=_SOLVER_LIMIT)

    def _expand(self, stones: _Stones) -> float | list[Reply]:
        """Returns what follows each move, or -1 if there is none."""
        return self._replies(stones) or -1.0

    def _replies(self, stones: _Stones) -> list[Reply]:
        """Returns what follows each move, those first that leave the opponent the fewest."""
        own, opponent = stones
        found = []
        for action, (here, there) in self._steps:
            if own & here and opponent & there:
                left, reached = opponent ^ there, own ^ here | there
                answers = sum(
                    left & one != 0 and reached & other != 0 for one, other in self._pairs
                )
                found.append((answers, Reply(action, (left, reached))))
        found.sort(key=_first)
        return [reply for _, reply in found]

    def _squares(self, action: int) -> tuple[int, int, int, int]:
        """Returns row and column a stone leaves, and those it enters."""
        cell, direction = divmod(action, 4)
        row, column = divmod(cell, self.columns)
        down, right = _DIRECTIONS[direction]
        return row, column, row + down, column + right


def _first(ranked: tuple[int, Reply]) -> int:
    return ranked[0]
