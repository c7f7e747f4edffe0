"""Atari Go (capture Go): whoever captures a stone first wins."""

import jax.numpy as jnp

from selfplay import BoardView, Game, grid_symmetries, pytree

SIZE = 7
CELLS = SIZE * SIZE
PIECES = ("x", "o")
COLUMNS = "abcdefghijkl"


def _around(cells, fill):
    """The four neighbours of each cell [4, CELLS]; `fill` beyond the edge."""
    grid = jnp.pad(cells.reshape(SIZE, SIZE), 1, constant_values=fill)
    neighbours = (grid[:-2, 1:-1], grid[2:, 1:-1], grid[1:-1, :-2], grid[1:-1, 2:])
    return jnp.stack(neighbours).reshape(4, CELLS)


def _liberties(chains):
    """How many liberties the chain of each cell has (meaningless for empty cells)."""
    # The first axis is that of the sum: adding up whole rows is what compilers do fast.
    touches = False
    for neighbour in _around(chains, -2):
        touches |= neighbour[:, None] == chains[None, :]
    return (touches & (chains < 0)[:, None]).astype(jnp.int8).sum(axis=0, dtype=jnp.int8)


@pytree
class State:
    cells: jnp.ndarray  # int8 [CELLS]: -1 where empty, else the player whose stone it is
    # int8 [CELLS]: -1 where empty, else the name of the stone's chain: the cell of its latest
    # stone. It follows from the stones, but looking for chains anew would need a loop.
    chains: jnp.ndarray
    player: jnp.ndarray  # int32: who is to move, 0 or 1
    captured: jnp.ndarray  # bool: the last move captured, so the player to move has lost


class AtariGo(Game):
    """The first capture wins; no suicide, no pass; who has no legal move loses."""

    name = "atari_go"
    title = "Atari Go"
    version = 1
    num_actions = CELLS  # action = cell, row by row from the top
    max_plies = CELLS  # never reached: the last empty cell is suicide or a capture

    def init(self, key):
        empty = jnp.full(CELLS, -1, jnp.int8)
        return State(empty, empty, jnp.int32(0), jnp.bool_(False))

    def step(self, state, action):
        here = jnp.arange(CELLS) == action
        cells = jnp.where(here, state.player, state.cells).astype(jnp.int8)
        # The new stone joins up to four chains of its colour, and may capture up to four others.
        own = jnp.where(state.cells == state.player, state.chains, -2)
        other = jnp.where(state.cells == 1 - state.player, state.chains, -2)
        joined = here
        captured = jnp.bool_(False)
        breathes = (_around(cells, 0) < 0).any(axis=0)  # the stones beside an empty cell
        for mine, enemy in zip(_around(own, -2), _around(other, -2), strict=True):
            joined |= (own == mine[action]) & (own >= 0)
            chain = (other == enemy[action]) & (other >= 0)
            captured |= chain.any() & ~(chain & breathes).any()
        chains = jnp.where(joined, action, state.chains).astype(jnp.int8)
        return State(cells, chains, 1 - state.player, captured)

    def current_player(self, state):
        return state.player

    def legal_action_mask(self, state):
        liberties = _liberties(state.chains)
        mine = state.cells == state.player
        other = state.cells == 1 - state.player
        # A cell is safe beside an empty cell, beside an own chain with another liberty, or
        # beside an enemy chain without one, which it captures.
        safe = (state.cells < 0) | (mine & (liberties > 1)) | (other & (liberties == 1))
        return (state.cells < 0) & _around(safe, False).any(axis=0)

    def is_terminal(self, state):
        return state.captured | ~self.legal_action_mask(state).any()

    def returns(self, state):
        """Captured or without a move: it is always the player to move who has lost."""
        return jnp.where(jnp.arange(2) == state.player, -1.0, 1.0).astype(jnp.float32)

    def observe(self, state):
        """Own stones, the other's, empty cells; both with one and with two liberties."""
        liberties = _liberties(state.chains)
        mine = state.cells == state.player
        other = state.cells == 1 - state.player
        one, two = liberties == 1, liberties == 2
        planes = (mine, other, state.cells < 0, mine & one, mine & two, other & one, other & two)
        return jnp.stack(planes, axis=-1).reshape(SIZE, SIZE, -1).astype(jnp.float32)

    def symmetries(self):
        numbers = jnp.arange(CELLS, dtype=jnp.int8).reshape(SIZE, SIZE)

        def map_state(state, turn):
            def image(cells):
                return turn(cells.reshape(SIZE, SIZE)).reshape(-1)

            # The names of chains are cells too: moved[i] is the cell that goes to cell i.
            moved = turn(numbers).reshape(-1)
            images = jnp.argsort(moved).astype(jnp.int8)
            chains = jnp.where(state.chains < 0, -1, images[state.chains]).astype(jnp.int8)
            return State(image(state.cells), image(chains), state.player, state.captured)

        return grid_symmetries(SIZE, SIZE, map_state)

    def render(self, state):
        cells = state.cells.tolist()
        rows = [cells[SIZE * row : SIZE * (row + 1)] for row in range(SIZE)]
        lines = [
            f"{SIZE - row:2} " + " ".join("." if cell < 0 else PIECES[cell] for cell in line)
            for row, line in enumerate(rows)
        ]
        return "\n".join([*lines, "   " + " ".join(COLUMNS[:SIZE])])

    def action_to_string(self, state, action):
        row, column = divmod(action, SIZE)
        return f"{COLUMNS[column]}{SIZE - row}"

    def board(self, state):
        names = ("black", "white")
        cells = ["" if cell < 0 else names[cell] for cell in state.cells.tolist()]
        legal = self.legal_action_mask(state).tolist()
        return BoardView(
            kind="lines",
            rows=SIZE,
            columns=SIZE,
            cells=cells,
            clicks={(cell,): cell for cell in range(CELLS) if legal[cell]},
            players=names,
            row_labels=[str(SIZE - row) for row in range(SIZE)],
            column_labels=list(COLUMNS[:SIZE]),
        )
