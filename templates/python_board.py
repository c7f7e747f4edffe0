"""MyGame: the first player with LINE stones in a row wins. Change it into your own game.

The rules in ordinary Python. A state can be any object, but `apply` must return a new one and
leave its argument as it was. This is slower than JAX: `selfplay check` shows the speed.
"""

import dataclasses

from selfplay import BoardView, PythonGame

SIZE = 5
LINE = min(SIZE, 4)
BOARD = "square"
# The directions of a line: along a row, along a column, and the diagonals of this kind of board.
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
PIECES = ("x", "o")


@dataclasses.dataclass
class State:
    """A position: the cells row by row ("." where empty), who is to move, who has won."""

    cells: list[str]
    player: int = 0
    winner: int | None = None


class MyGame(PythonGame):
    """A line of stones wins; player 0 (x) begins."""

    name = "my_game"
    # Raise it when you change the rules or the observation, to tell new runs from old ones.
    version = 1
    num_actions = SIZE * SIZE  # action = cell, row by row from the top
    max_plies = SIZE * SIZE  # a match ends at this ply and is scored by `returns`

    def initial_state(self, rng):
        """The first position. `rng` is for a random start, such as `rng.randrange(6)`."""
        return State(["."] * (SIZE * SIZE))

    def apply(self, state, action):
        """The position after a legal `action`, as a new state."""
        cells = list(state.cells)
        cells[action] = PIECES[state.player]
        winner = state.player if _has_line(cells, action) else None
        return State(cells, 1 - state.player, winner)  # `state.player` for another turn

    def legal_actions(self, state):
        """The legal actions: here the empty cells."""
        return [cell for cell, piece in enumerate(state.cells) if piece == "."]

    def current_player(self, state):
        """Who is to move, 0 or 1."""
        return state.player

    def is_terminal(self, state):
        """Whether the match is over: there is a line, or the board is full."""
        return state.winner is not None or "." not in state.cells

    def returns(self, state):
        """The result of player 0 and of player 1, from -1 to 1; their sum is 0."""
        if state.winner is None:
            return 0.0, 0.0
        return (1.0, -1.0) if state.winner == 0 else (-1.0, 1.0)

    def observe(self, state):
        """What the network sees, from the side of the player to move: own stones, the other's."""
        own, other = PIECES[state.player], PIECES[1 - state.player]
        return [
            [
                [float(piece == own), float(piece == other)]
                for piece in state.cells[SIZE * row : SIZE * (row + 1)]
            ]
            for row in range(SIZE)
        ]

    # The methods below are for people.

    def render(self, state):
        """The position as text for the terminal."""
        lines = [
            f"{SIZE - row:2} " + " ".join(state.cells[SIZE * row : SIZE * (row + 1)])
            for row in range(SIZE)
        ]
        return "\n".join([*lines, "   " + " ".join("abcdefghijkl"[:SIZE])])

    def action_to_string(self, state, action):
        """How a person writes a move: "a1" is the bottom left cell."""
        row, column = divmod(action, SIZE)
        return f"{'abcdefghijkl'[column]}{SIZE - row}"

    def board(self, state):
        """The position for a graphical board: contents of cells, and clicks of moves."""
        cells = ["" if piece == "." else piece for piece in state.cells]
        # For a move from cell to cell `(source, target): action`, for a pass `(): action`.
        clicks = {(cell,): cell for cell, piece in enumerate(cells) if not piece}
        return BoardView(kind=BOARD, rows=SIZE, columns=SIZE, cells=cells, clicks=clicks)


def _has_line(cells, action):
    """Whether the stone just placed is part of a line."""
    row, column = divmod(action, SIZE)
    for down, right in DIRECTIONS:
        length = 1
        for way in (1, -1):
            r, c = row + way * down, column + way * right
            while 0 <= r < SIZE and 0 <= c < SIZE and cells[SIZE * r + c] == cells[action]:
                length += 1
                r, c = r + way * down, c + way * right
        if length >= LINE:
            return True
    return False
