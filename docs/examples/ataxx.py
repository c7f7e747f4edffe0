"""Ataxx on 5 by 5: grow beside a stone or jump two cells; stones beside the target turn over."""

import jax.numpy as jnp

from selfplay import BoardView, Game, Symmetry, grid_symmetries, pytree

SIZE = 5
CELLS = SIZE * SIZE
PIECES = ("x", "o")
COLUMNS = "abcdefghijkl"


def _far(a, b):
    """The distance of two cells in moves of a chess king."""
    return max(abs(a // SIZE - b // SIZE), abs(a % SIZE - b % SIZE))


# Actions: grow into a cell (from which neighbour makes no difference), the jumps, the pass.
JUMPS = [(a, b) for a in range(CELLS) for b in range(CELLS) if _far(a, b) == 2]
PASS = CELLS + len(JUMPS)
NOWHERE = CELLS
SOURCE = jnp.array([NOWHERE] * CELLS + [a for a, _ in JUMPS] + [NOWHERE], jnp.int8)
TARGET = jnp.array([*range(CELLS), *(b for _, b in JUMPS), NOWHERE], jnp.int8)
JUMP_FROM = jnp.array([a for a, _ in JUMPS])
JUMP_TO = jnp.array([b for _, b in JUMPS])


def _beside(cells):
    """Which cells have one of `cells` among their eight neighbours, or are one [CELLS]."""
    grid = jnp.pad(cells.reshape(SIZE, SIZE), 1)
    rows = grid[:-2] | grid[1:-1] | grid[2:]
    return (rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]).reshape(-1)


@pytree
class State:
    cells: jnp.ndarray  # int8 [CELLS]: -1 where empty, else the player whose stone it is
    player: jnp.ndarray  # int32: who is to move, 0 or 1


class Ataxx(Game):
    """Most stones win; who has no move passes."""

    name = "ataxx"
    version = 1
    num_actions = PASS + 1
    max_plies = 200

    def init(self, key):
        cells = jnp.full((SIZE, SIZE), -1, jnp.int8)
        cells = cells.at[0, 0].set(0).at[-1, -1].set(0).at[0, -1].set(1).at[-1, 0].set(1)
        return State(cells.reshape(-1), jnp.int32(0))

    def step(self, state, action):
        numbers = jnp.arange(CELLS)
        target = numbers == TARGET[action]  # nowhere for a pass
        left = numbers == SOURCE[action]  # nowhere unless it is a jump
        turned = _beside(target) & (state.cells == 1 - state.player)
        cells = jnp.where(turned | target, state.player, jnp.where(left, -1, state.cells))
        return State(cells.astype(jnp.int8), 1 - state.player)

    def current_player(self, state):
        return state.player

    def legal_action_mask(self, state):
        mine, empty = state.cells == state.player, state.cells < 0
        grow = _beside(mine) & empty
        moves = jnp.concatenate([grow, mine[JUMP_FROM] & empty[JUMP_TO]])
        return jnp.append(moves, ~moves.any())

    def is_terminal(self, state):
        """The board is full or a player has no stones.

        Otherwise somebody can move: some empty cell has a stone beside it.
        """
        full = (state.cells >= 0).all()
        return full | ~(state.cells == 0).any() | ~(state.cells == 1).any()

    def returns(self, state):
        """Most stones win; also where `max_plies` ends a match."""
        lead = (state.cells == 0).sum() - (state.cells == 1).sum()
        return (jnp.sign(lead) * jnp.array([1, -1])).astype(jnp.float32)

    def observe(self, state):
        """Own stones, the other's, empty cells."""
        planes = (state.cells == state.player, state.cells == 1 - state.player, state.cells < 0)
        return jnp.stack(planes, axis=-1).reshape(SIZE, SIZE, -1).astype(jnp.float32)

    def symmetries(self):
        def map_state(state, turn):
            return State(turn(state.cells.reshape(SIZE, SIZE)).reshape(-1), state.player)

        jump = {cells: CELLS + number for number, cells in enumerate(JUMPS)}
        symmetries = []
        # These permute the cells; the jumps follow their two cells.
        for turn in grid_symmetries(SIZE, SIZE, map_state):
            image = turn.permutation
            jumps = [jump[image[a], image[b]] for a, b in JUMPS]
            symmetries.append(
                Symmetry(
                    name=turn.name, map_state=turn.map_state, permutation=[*image, *jumps, PASS]
                )
            )
        return symmetries

    def render(self, state):
        cells = state.cells.tolist()
        rows = [cells[SIZE * row : SIZE * (row + 1)] for row in range(SIZE)]
        lines = [
            f"{SIZE - row:2} " + " ".join("." if cell < 0 else PIECES[cell] for cell in line)
            for row, line in enumerate(rows)
        ]
        return "\n".join([*lines, "   " + " ".join(COLUMNS[:SIZE])])

    def action_to_string(self, state, action):
        """Grow into "c3", jump "a1-c3", or "pass"."""
        if action == PASS:
            return "pass"
        cells = (action,) if action < CELLS else JUMPS[action - CELLS]
        return "-".join(f"{COLUMNS[cell % SIZE]}{SIZE - cell // SIZE}" for cell in cells)

    def board(self, state):
        cells = ["" if cell < 0 else PIECES[cell] for cell in state.cells.tolist()]
        moves = [*((cell,) for cell in range(CELLS)), *JUMPS, ()]
        legal = self.legal_action_mask(state).tolist()
        return BoardView(
            kind="square",
            rows=SIZE,
            columns=SIZE,
            cells=cells,
            clicks={move: action for action, move in enumerate(moves) if legal[action]},
            counters={"stones": (cells.count("x"), cells.count("o"))},
            row_labels=[str(SIZE - row) for row in range(SIZE)],
            column_labels=list(COLUMNS[:SIZE]),
        )
