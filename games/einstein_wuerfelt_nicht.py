"""EinStein würfelt nicht: six numbered stones each, a die that says which of them moves."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key

from selfplay.game import BoardView, ChanceGame, Symmetry, legal_actions, pytree

_SIZE = 5
_CELLS = _SIZE * _SIZE
_STONES = 6
_CORNER = (0, 1, 2, 5, 6, 10)
"""Cells of the first player's corner; the second player's are opposite."""
_DELTAS = (1, _SIZE, _SIZE + 1)
_PIECES = ("x", "o")


@pytree
class EinsteinState:
    """A position, or an afterstate in which the die is to be rolled.

    Attributes:
        stones: cell of each player's stones 1 to 6, row by row from the top left; -1 once taken.
        die: what it shows, 1 to 6; 0 in an afterstate.
        player: who is to move.
    """

    stones: Int8[Array, "2 6"]
    die: Int8[Array, ""]
    player: Int8[Array, ""]


class EinsteinWuerfeltNicht(ChanceGame[EinsteinState]):
    """Bring one of six numbered stones to the far corner, or take all of the other player's.

    Player 0 (x) begins in the top left corner. Before every move a die says which stone moves.
    """

    name = "einstein_wuerfelt_nicht"
    title = "EinStein würfelt nicht!"
    num_actions = 3 * _STONES
    num_outcomes = 6
    # Every move brings a stone nearer to its goal, and a player's stones are 40 moves away from it.
    max_plies = 80

    def init(self, key: Key[Array, ""]) -> EinsteinState:
        """Returns six stones each in a random order in their corners, and the first roll."""
        first_key, second_key, die_key = jax.random.split(key, 3)
        corner = jnp.array(_CORNER, jnp.int8)
        return EinsteinState(
            stones=jnp.stack(
                [
                    jax.random.permutation(first_key, corner),
                    _CELLS - 1 - jax.random.permutation(second_key, corner),
                ]
            ),
            die=jax.random.randint(die_key, (), 1, 7).astype(jnp.int8),
            player=jnp.int8(0),
        )

    def step(self, state: EinsteinState, action: Int32[Array, ""]) -> EinsteinState:
        """Returns the afterstate: the stone moved, whatever stood in its way is off the board."""
        moving = (jnp.arange(2, dtype=jnp.int8)[:, None] == state.player) & (
            jnp.arange(_STONES)[None] == action // 3
        )
        delta = jnp.array(_DELTAS, jnp.int8)[action % 3]
        delta = jnp.where(state.player == 0, delta, -delta)
        target = jnp.max(jnp.where(moving, state.stones + delta, -1))
        rest = jnp.where(state.stones == target, -1, state.stones)
        return EinsteinState(
            stones=jnp.where(moving, target, rest).astype(jnp.int8),
            die=jnp.int8(0),
            player=1 - state.player,
        )

    def chance_probabilities(self, state: EinsteinState) -> Float32[Array, "6"]:
        """Returns a fair die."""
        return jnp.full(6, 1 / 6, jnp.float32)

    def resolve(self, state: EinsteinState, outcome: Int32[Array, ""]) -> EinsteinState:
        """Returns the position with the die at `outcome + 1`."""
        return EinsteinState(
            stones=state.stones, die=(outcome + 1).astype(jnp.int8), player=state.player
        )

    def current_player(self, state: EinsteinState) -> Int32[Array, ""]:
        """Returns who is to move; the players take turns."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: EinsteinState) -> Bool[Array, "18"]:
        """Returns each way forward of the stone the die shows, or of its nearest neighbours."""
        own = self._own(state)
        below_edge = own // _SIZE < _SIZE - 1
        left_of_edge = own % _SIZE < _SIZE - 1
        ways = jnp.stack([left_of_edge, below_edge, left_of_edge & below_edge], axis=-1)
        return (self._movable(state)[:, None] & ways).reshape(-1)

    def is_terminal(self, state: EinsteinState) -> Bool[Array, ""]:
        """Returns whether somebody has won."""
        return self._won(state).any()

    def returns(self, state: EinsteinState) -> Float32[Array, "2"]:
        """Returns 1 for the winner and -1 for the other; 0 for both before that."""
        won = self._won(state).astype(jnp.float32)
        return won - won[::-1]

    def observe(self, state: EinsteinState) -> Float32[Array, "5 5 13"]:
        """Returns a plane for each of the mover's stones, each opponent's, and what may move.

        The board is turned so that the mover goes to the bottom right.
        """
        own = self._own(state)
        other = state.stones[1 - state.player]
        other = jnp.where((state.player == 0) | (other < 0), other, _CELLS - 1 - other)
        planes = jnp.arange(_CELLS)[:, None] == jnp.concatenate([own, other])[None]
        movable = (planes[:, :_STONES] & self._movable(state)[None]).any(axis=-1)
        return (
            jnp.concatenate([planes, movable[:, None]], axis=-1)
            .reshape(_SIZE, _SIZE, 2 * _STONES + 1)
            .astype(jnp.float32)
        )

    def symmetries(self) -> Sequence[Symmetry[EinsteinState]]:
        """Returns the reflection in the diagonal between the corners."""

        def map_state(state: EinsteinState) -> EinsteinState:
            mirrored = state.stones % _SIZE * _SIZE + state.stones // _SIZE
            return EinsteinState(
                stones=jnp.where(state.stones < 0, state.stones, mirrored),
                die=state.die,
                player=state.player,
            )

        permutation = [3 * stone + way for stone in range(_STONES) for way in (1, 0, 2)]
        return [Symmetry(name="reflect", map_state=map_state, permutation=permutation)]

    def render(self, state: EinsteinState) -> str:
        """Returns the board with its coordinates, the die, and who is to move or has won."""
        cells = self._cells(state)
        lines = [
            f"{_SIZE - row} "
            + " ".join(f"{cell or '.':2}" for cell in cells[_SIZE * row : _SIZE * (row + 1)])
            for row in range(_SIZE)
        ]
        won = self._won(state).tolist()
        die = int(state.die)
        status = (
            f"{_PIECES[won.index(True)]} wins"
            if any(won)
            else f"{_PIECES[int(state.player)]} to move" + (f", the die shows {die}" if die else "")
        )
        return "\n".join([*(line.rstrip() for line in lines), "  a  b  c  d  e", status])

    def action_to_string(self, state: EinsteinState, action: int) -> str:
        """Returns the stone's number and where it goes: "3-c4"; the top left cell is a5."""
        return f"{action // 3 + 1}-{_cell_name(self._target(state, action))}"

    def outcome_to_string(self, state: EinsteinState, outcome: int) -> str:
        """Returns what the die shows."""
        return str(outcome + 1)

    def board(self, state: EinsteinState) -> BoardView:
        """Returns the board; a move is a click on a stone, then one on where it goes."""
        stones = state.stones.tolist()[int(state.player)]
        on = not bool(self.is_terminal(state)) and int(state.die) > 0
        return BoardView(
            kind="square",
            rows=_SIZE,
            columns=_SIZE,
            cells=self._cells(state),
            clicks={
                (stones[action // 3], self._target(state, action)): action
                for action in (legal_actions(self, state) if on else [])
            },
            dice=[int(state.die)] if on else [],
            shaded=(0, _CELLS - 1),
            row_labels=[str(_SIZE - row) for row in range(_SIZE)],
            column_labels="abcde",
        )

    def _own(self, state: EinsteinState) -> Int8[Array, "6"]:
        """Returns the cells of the mover's stones, the board turned to the mover's side."""
        own = state.stones[state.player]
        return jnp.where((state.player == 0) | (own < 0), own, _CELLS - 1 - own)

    def _movable(self, state: EinsteinState) -> Bool[Array, "6"]:
        """Returns the stone of the die, or, if it is taken, the next lower and the next higher."""
        numbers = jnp.arange(1, _STONES + 1)
        alive = state.stones[state.player] >= 0
        die = state.die.astype(jnp.int32)
        lower = jnp.max(jnp.where(alive & (numbers <= die), numbers, 0))
        higher = jnp.min(jnp.where(alive & (numbers >= die), numbers, _STONES + 1))
        # The stone of the die is its own nearest neighbour on either side.
        exact = lower == die
        return jnp.where(exact, numbers == die, (numbers == lower) | (numbers == higher))

    def _won(self, state: EinsteinState) -> Bool[Array, "2"]:
        goals = jnp.array([_CELLS - 1, 0], jnp.int8)
        arrived = (state.stones == goals[:, None]).any(axis=1)
        gone = (state.stones < 0).all(axis=1)
        return arrived | gone[::-1]

    def _cells(self, state: EinsteinState) -> list[str]:
        cells = [""] * _CELLS
        for player, stones in enumerate(state.stones.tolist()):
            for number, cell in enumerate(stones, start=1):
                if cell >= 0:
                    cells[cell] = f"{_PIECES[player]}{number}"
        return cells

    def _target(self, state: EinsteinState, action: int) -> int:
        player = int(state.player)
        delta = _DELTAS[action % 3]
        return int(state.stones[player, action // 3]) + (delta if player == 0 else -delta)


def _cell_name(cell: int) -> str:
    return f"{'abcde'[cell % _SIZE]}{_SIZE - cell // _SIZE}"
