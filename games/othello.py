"""Othello: place a disc, turn every disc you enclose; the most discs at the end win."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key, UInt32

from selfplay.errors import ConfigError
from selfplay.game import (
    BoardView,
    Game,
    GridTurn,
    Solution,
    Symmetry,
    grid_symmetries,
    legal_actions,
    pytree,
)
from selfplay.game.bitboards import (
    WORD,
    Cells,
    both,
    choose,
    either,
    from_number,
    is_any,
    pack,
    shift,
    single,
    to_number,
    without,
)
from selfplay.games.othello_solver import OthelloSolver

_SYMBOLS = ("x", "o")
_PIECES = ("black", "white")
_MOST_SOLVED = 10
_SOLVER_LIMIT = 1_000_000


@pytree
class OthelloState:
    """A position: 8 by 8 needs 18 bytes.

    Attributes:
        discs: each player's discs as bits, 32 cells to a word, row by row from the top left.
        player: who is to move.
        over: whether neither player can place a disc.
    """

    discs: UInt32[Array, "2 words"]
    player: Int8[Array, ""]
    over: Bool[Array, ""]


class Othello(Game[OthelloState]):
    """Othello with forced passes; player 0 (x, black) begins.

    Args:
        size: side of the square board: 4, 6, 8 or 10.
    """

    name = "othello"
    suite_file = "suites/othello.txt"

    def __init__(self, size: int = 8) -> None:
        if size not in (4, 6, 8, 10):
            raise ConfigError(f"othello: size is {size}, but must be 4, 6, 8 or 10")
        self.size = size
        self.num_actions = size * size + 1
        # No two passes follow each other, so at worst every disc costs two plies.
        self.max_plies = 2 * (size * size - 4)

    def init(self, key: Key[Array, ""]) -> OthelloState:
        """Returns the four discs in the centre, two of each colour crosswise."""
        low, high = self.size // 2 - 1, self.size // 2
        black = 1 << (low * self.size + high) | 1 << (high * self.size + low)
        white = 1 << (low * self.size + low) | 1 << (high * self.size + high)
        return OthelloState(
            discs=jnp.stack([jnp.stack(self._constant(cells)) for cells in (black, white)]),
            player=jnp.int8(0),
            over=jnp.bool_(False),
        )

    def step(self, state: OthelloState, action: Int32[Array, ""]) -> OthelloState:
        """Returns the position after a disc on cell `action`, or after the pass."""
        own, opponent = _by_mover(state)
        is_pass = action == self.num_actions - 1
        disc = single(action, len(own))
        placed = choose(is_pass, self._constant(0), disc)
        turned = self._turned(placed, own, opponent)
        own = either(either(own, placed), turned)
        opponent = without(opponent, turned)
        first = state.player == 0
        own_words, opponent_words = jnp.stack(own), jnp.stack(opponent)
        return OthelloState(
            discs=jnp.stack(
                [
                    jnp.where(first, own_words, opponent_words),
                    jnp.where(first, opponent_words, own_words),
                ]
            ),
            player=1 - state.player,
            over=~is_any(self._placements(opponent, own))
            & ~is_any(self._placements(own, opponent)),
        )

    def current_player(self, state: OthelloState) -> Int32[Array, ""]:
        """Returns who is to move; who cannot place a disc is to move too, and passes."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: OthelloState) -> Bool[Array, " A"]:
        """Returns the cells that enclose something; the last action is the forced pass."""
        placements = self._placements(*_by_mover(state))
        must_pass = ~is_any(placements) & ~state.over
        return jnp.concatenate([self._grid(placements).reshape(-1), must_pass[None]])

    def is_terminal(self, state: OthelloState) -> Bool[Array, ""]:
        """Returns whether neither player can place a disc."""
        return state.over

    def returns(self, state: OthelloState) -> Float32[Array, "2"]:
        """Returns 1 for the player with more discs and -1 for the other, or 0 for both."""
        margin = _count(state.discs[0]) - _count(state.discs[1])
        return jnp.sign(jnp.stack([margin, -margin])).astype(jnp.float32)

    def observe(self, state: OthelloState) -> Float32[Array, "size size 2"]:
        """Returns two planes: the mover's discs and the opponent's."""
        planes = [self._grid(cells) for cells in _by_mover(state)]
        return jnp.stack(planes, axis=-1).astype(jnp.float32)

    def symmetries(self) -> Sequence[Symmetry[OthelloState]]:
        """Returns the seven rotations and reflections of the square."""

        def map_state(state: OthelloState, turn: GridTurn) -> OthelloState:
            boards = [pack(turn(self._grid(tuple(state.discs[player])))) for player in range(2)]
            return OthelloState(discs=jnp.stack(boards), player=state.player, over=state.over)

        return grid_symmetries(self.size, self.size, map_state, other_actions=1)

    def auxiliary_targets(self, state: OthelloState, final_state: OthelloState) -> dict[str, Array]:
        """Returns who owns each cell at the end, and by how many discs.

        Returns:
            "ownership", [size, size]: 1 own, -1 opponent's, 0 empty; "score_margin", []: discs
            more than the opponent, divided by the number of cells.
        """
        black, white = (self._grid(tuple(discs)).astype(jnp.float32) for discs in final_state.discs)
        ownership = jnp.where(state.player == 0, black - white, white - black)
        return {"ownership": ownership, "score_margin": ownership.mean()}

    def render(self, state: OthelloState) -> str:
        """Returns the board with its coordinates, and who is to move or has won."""
        width = len(str(self.size))
        cells = self._pieces(state, _SYMBOLS, ".")
        lines = [
            f"{row + 1:>{width}} " + " ".join(cells[row * self.size : (row + 1) * self.size])
            for row in range(self.size)
        ]
        letters = " " * (width + 1) + " ".join("abcdefghij"[: self.size])
        counts = [cells.count(symbol) for symbol in _SYMBOLS]
        if not bool(state.over):
            status = f"{_SYMBOLS[int(state.player)]} to move"
        elif counts[0] == counts[1]:
            status = "draw"
        else:
            status = f"{_SYMBOLS[counts[1] > counts[0]]} wins"
        score = ", ".join(f"{s} {count}" for s, count in zip(_SYMBOLS, counts, strict=True))
        return "\n".join([letters, *lines, f"{status} ({score})"])

    def action_to_string(self, state: OthelloState, action: int) -> str:
        """Returns column and row, "a1" at the top left, or "pass"."""
        if action == self.num_actions - 1:
            return "pass"
        return f"{chr(ord('a') + action % self.size)}{action // self.size + 1}"

    def board(self, state: OthelloState) -> BoardView:
        """Returns the cells; a forced pass needs no click: its key is the empty tuple."""
        # A forced pass has no cell: a button.
        pass_ = self.num_actions - 1
        clicks: dict[tuple[int, ...], int] = {
            () if action == pass_ else (action,): action for action in legal_actions(self, state)
        }
        cells = self._pieces(state, _PIECES, "")
        return BoardView(
            kind="square",
            rows=self.size,
            columns=self.size,
            cells=cells,
            clicks=clicks,
            players=_PIECES,
            counters={"discs": [cells.count(piece) for piece in _PIECES]},
            row_labels=[str(row + 1) for row in range(self.size)],
            column_labels="abcdefghij"[: self.size],
        )

    def solve(self, state: OthelloState) -> Solution | None:
        """Returns the exact solution if at most 10 cells are empty, else None."""
        discs = [to_number(words) for words in state.discs.tolist()]
        empty = self.size * self.size - sum(some.bit_count() for some in discs)
        if empty > _MOST_SOLVED:
            return None
        player = int(state.player)
        solver = OthelloSolver(self.size)
        return solver.solve(discs[player], discs[1 - player], max_positions=_SOLVER_LIMIT)

    def _constant(self, cells: int) -> Cells:
        """Returns the set whose bits are those of a Python integer."""
        return from_number(cells, self.size * self.size)

    def _grid(self, cells: Cells) -> Bool[Array, "size size"]:
        """Returns a set of cells as an array."""
        bits = jnp.stack(cells)[:, None] >> jnp.arange(WORD, dtype=jnp.uint32)[None] & 1
        return (bits.reshape(-1)[: self.size * self.size] != 0).reshape(self.size, self.size)

    def _directions(self, discs: Cells) -> list[tuple[int, Cells]]:
        """Returns the eight directions as distances, each with the `discs` a line can pass."""
        # A line that leaves a row sideways would come back in on the far side of the next one;
        # it cannot pass a disc on an edge column, so leaving those out stops it there.
        row = (1 << self.size) - 2 - (1 << self.size - 1)
        inner = self._constant(sum(row << self.size * index for index in range(self.size)))
        passable = both(discs, inner)
        size = self.size
        sideways = [(by, passable) for by in (1, -1, size - 1, 1 - size, size + 1, -size - 1)]
        return [(size, discs), (-size, discs), *sideways]

    def _run(self, start: Cells, discs: Cells, by: int) -> Cells:
        """Returns the unbroken lines of `discs` that begin next to `start`, one direction."""
        run = both(shift(start, by), discs)
        for _ in range(self.size - 3):
            run = either(run, both(shift(run, by), discs))
        return run

    def _placements(self, own: Cells, opponent: Cells) -> Cells:
        """Returns the empty cells where a disc encloses some of the opponent's."""
        board = self._constant((1 << self.size * self.size) - 1)
        found = self._constant(0)
        for by, discs in self._directions(opponent):
            found = either(found, shift(self._run(own, discs, by), by))
        empty = without(board, either(own, opponent))
        return both(found, empty)

    def _turned(self, placed: Cells, own: Cells, opponent: Cells) -> Cells:
        """Returns the opponent's discs between a new disc and the others of its colour."""
        turned = self._constant(0)
        for by, discs in self._directions(opponent):
            run = self._run(placed, discs, by)
            enclosed = is_any(both(shift(run, by), own))
            caught = choose(enclosed, run, self._constant(0))
            turned = either(turned, caught)
        return turned

    def _pieces(self, state: OthelloState, names: Sequence[str], empty: str) -> list[str]:
        """Returns what stands on every cell, on the host."""
        black, white = (to_number(words) for words in state.discs.tolist())
        return [
            names[0] if black >> cell & 1 else names[1] if white >> cell & 1 else empty
            for cell in range(self.size * self.size)
        ]


def _by_mover(state: OthelloState) -> tuple[Cells, Cells]:
    """Returns the discs of the player to move, then the opponent's."""
    first = state.player == 0
    black, white = tuple(state.discs[0]), tuple(state.discs[1])
    own = choose(first, black, white)
    return own, choose(first, white, black)


def _count(words: UInt32[Array, " words"]) -> Int32[Array, ""]:
    return jax.lax.population_count(words).astype(jnp.int32).sum()
