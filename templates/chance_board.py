"""MyGame: a die says in which row to play; LINE stones in a line win. Change it into your own.

The rules are pure JAX functions of one small state, without a batch axis and without "whose view
is it": see https://docs.jax.dev for `jnp`. No Python `if` on array values: use `jnp.where`.
"""

import jax
import jax.numpy as jnp

from selfplay import BoardView, ChanceGame, pytree

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
    die: jnp.ndarray  # int32: the row it shows, from the top; has no meaning before it is rolled


class MyGame(ChanceGame):
    """A die says in which row to play, a line of stones wins; player 0 (x) begins.

    A ply has two halves: `step` plays the move, then the die is rolled for the next player, with
    `chance_probabilities`, and `resolve` says what comes of it. The first roll is in `init`.
    """

    name = "my_game"
    # Raise it when you change the rules or the observation, to tell new runs from old ones.
    version = 1
    num_outcomes = SIZE  # of the die
    num_actions = SIZE * SIZE  # action = cell, row by row from the top
    max_plies = SIZE * SIZE  # a match ends at this ply and is scored by `returns`

    def init(self, key):
        """The first position, with the first roll. All that is random here comes from `key`."""
        die = jax.random.randint(key, (), 0, SIZE)
        return State(jnp.full(SIZE * SIZE, -1, jnp.int8), jnp.int32(0), jnp.int8(-1), die)

    def step(self, state, action):
        """The position after a legal `action`, before the next roll."""
        cells = state.cells.at[action].set(state.player.astype(jnp.int8))
        has_line = (cells[jnp.array(_lines())] == state.player).all(axis=1).any()
        return State(
            cells,
            1 - state.player,  # return `state.player` for another turn
            jnp.where(has_line, state.player, state.winner).astype(jnp.int8),
            jnp.int32(0),
        )

    def chance_probabilities(self, state):
        """The probability of each outcome of the roll after a move: here a fair die."""
        # If they differ, draw the first roll so too: jax.random.choice(key, SIZE, p=chances).
        return jnp.full(SIZE, 1 / SIZE, jnp.float32)

    def resolve(self, state, outcome):
        """The position after the roll."""
        return State(state.cells, state.player, state.winner, outcome.astype(jnp.int32))

    def current_player(self, state):
        """Who is to move."""
        return state.player

    def legal_action_mask(self, state):
        """True for each legal action: the empty cells of the row, all if there are none."""
        empty = state.cells < 0
        in_row = empty & (jnp.arange(SIZE * SIZE) // SIZE == state.die)
        return jnp.where(in_row.any(), in_row, empty)

    def is_terminal(self, state):
        """Whether the match is over: there is a line, or the board is full."""
        return (state.winner >= 0) | (state.cells >= 0).all()

    def returns(self, state):
        """The result of player 0 and of player 1, from -1 to 1; their sum is 0."""
        won = jnp.where(jnp.arange(2) == state.winner, 1.0, -1.0)
        return jnp.where(state.winner < 0, 0.0, won).astype(jnp.float32)

    def observe(self, state):
        """What the network sees, from the side of the player to move: own, other, legal."""
        own, other = state.cells == state.player, state.cells == 1 - state.player
        planes = (own, other, self.legal_action_mask(state))
        return jnp.stack(planes, axis=-1).reshape(SIZE, SIZE, 3).astype(jnp.float32)

    # The methods below are for people. They run outside compiled code, so they are ordinary Python.

    def render(self, state):
        """The position as text for the terminal."""
        cells = state.cells.tolist()
        rows = [cells[SIZE * row : SIZE * (row + 1)] for row in range(SIZE)]
        lines = [
            f"{SIZE - row:2} " + " ".join("." if cell < 0 else PIECES[cell] for cell in line)
            for row, line in enumerate(rows)
        ]
        row = SIZE - int(state.die)
        return "\n".join([*lines, "   " + " ".join("abcdefghijkl"[:SIZE]), f"row {row}"])

    def action_to_string(self, state, action):
        """How a person writes a move: "a1" is the bottom left cell."""
        row, column = divmod(action, SIZE)
        return f"{'abcdefghijkl'[column]}{SIZE - row}"

    def outcome_to_string(self, state, outcome):
        """How a person writes a roll: the number of the row."""
        return str(SIZE - outcome)

    def board(self, state):
        """The position for a graphical board: contents of cells, and clicks of moves."""
        cells = ["" if cell < 0 else PIECES[cell] for cell in state.cells.tolist()]
        legal = self.legal_action_mask(state).tolist()
        # For a move from cell to cell `(source, target): action`, for a pass `(): action`.
        clicks = {(cell,): cell for cell in range(SIZE * SIZE) if legal[cell]}
        return BoardView(kind=BOARD, rows=SIZE, columns=SIZE, cells=cells, clicks=clicks)
