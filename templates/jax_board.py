"""MyGame: the first player with LINE stones in a row wins. Change it into your own game.

The rules are pure JAX functions of one small state, without a batch axis and without "whose view
is it": see https://docs.jax.dev for `jnp`. No Python `if` on array values: use `jnp.where`.
"""

import jax.numpy as jnp

from selfplay import BoardView, Game, pytree

SIZE = 5
LINE = min(SIZE, 4)
BOARD = "square"
# The directions of a line: along a row, along a column, and the diagonals of this kind of board.
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
PIECES = ("x", "o")


def _lines():
    """Returns the cells of every possible line."""
    lines = []
    for row in range(SIZE):
        for column in range(SIZE):
            for down, right in DIRECTIONS:
                line = [(row + down * i, column + right * i) for i in range(LINE)]
                if all(0 <= r < SIZE and 0 <= c < SIZE for r, c in line):
                    lines.append([r * SIZE + c for r, c in line])
    return lines


@pytree
class State:
    """All that the rules need, and nothing else: many thousands of states are kept in memory."""

    cells: jnp.ndarray  # int8 [SIZE * SIZE]: -1 where empty, else the player whose stone it is
    player: jnp.ndarray  # int32: who is to move, 0 or 1
    winner: jnp.ndarray  # int8: -1 until somebody has a line


class MyGame(Game):
    """A line of stones wins; player 0 (x) begins."""

    name = "my_game"
    # Raise it when you change the rules or the observation, to tell new runs from old ones.
    version = 1
    num_actions = SIZE * SIZE  # action = cell, row by row from the top
    max_plies = SIZE * SIZE  # a match ends at this ply and is scored by `returns`

    def init(self, key):
        """The first position. `key` is for a random start: `jax.random.randint(key, ...)`."""
        return State(jnp.full(SIZE * SIZE, -1, jnp.int8), jnp.int32(0), jnp.int8(-1))

    def step(self, state, action):
        """The position after a legal `action`."""
        cells = state.cells.at[action].set(state.player.astype(jnp.int8))
        has_line = (cells[jnp.array(_lines())] == state.player).all(axis=1).any()
        return State(
            cells,
            1 - state.player,  # return `state.player` for another turn
            jnp.where(has_line, state.player, state.winner).astype(jnp.int8),
        )

    def current_player(self, state):
        """Who is to move."""
        return state.player

    def legal_action_mask(self, state):
        """True for each legal action: here the empty cells."""
        return state.cells < 0

    def is_terminal(self, state):
        """Whether the match is over: there is a line, or the board is full."""
        return (state.winner >= 0) | (state.cells >= 0).all()

    def returns(self, state):
        """The result of player 0 and of player 1, from -1 to 1; their sum is 0."""
        won = jnp.where(jnp.arange(2) == state.winner, 1.0, -1.0)
        return jnp.where(state.winner < 0, 0.0, won).astype(jnp.float32)

    def observe(self, state):
        """What the network sees, from the side of the player to move: own stones, the other's."""
        planes = (state.cells == state.player, state.cells == 1 - state.player)
        return jnp.stack(planes, axis=-1).reshape(SIZE, SIZE, 2).astype(jnp.float32)

    # The methods below are for people. They run outside compiled code, so they are ordinary Python.

    def render(self, state):
        """The position as text for the terminal."""
        cells = state.cells.tolist()
        rows = [cells[SIZE * row : SIZE * (row + 1)] for row in range(SIZE)]
        lines = [
            f"{SIZE - row:2} " + " ".join("." if cell < 0 else PIECES[cell] for cell in line)
            for row, line in enumerate(rows)
        ]
        return "\n".join([*lines, "   " + " ".join("abcdefghijkl"[:SIZE])])

    def action_to_string(self, state, action):
        """How a person writes a move: "a1" is the bottom left cell."""
        row, column = divmod(action, SIZE)
        return f"{'abcdefghijkl'[column]}{SIZE - row}"

    def board(self, state):
        """The position for a graphical board: contents of cells, and clicks of moves."""
        cells = ["" if cell < 0 else PIECES[cell] for cell in state.cells.tolist()]
        # For a move from cell to cell `(source, target): action`, for a pass `(): action`.
        clicks = {(cell,): cell for cell, piece in enumerate(cells) if not piece}
        return BoardView(kind=BOARD, rows=SIZE, columns=SIZE, cells=cells, clicks=clicks)
