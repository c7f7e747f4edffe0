"""Games that hide something from the player to move, on purpose or by mistake."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from selfplay.game import Game, pytree

LINES = jnp.array(
    [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]]
)


@pytree
class Nine:
    """Nine boards of nine cells (0 empty, 1 and 2 the players), and the board to play in."""

    cells: Array
    forced: Array
    player: Array


class UltimateTicTacToe(Game[Nine]):
    """The cell of a move names the board of the next one; -1 is any."""

    name = "ultimate"
    num_actions = 81
    max_plies = 81

    def init(self, key: Any) -> Nine:
        return Nine(cells=jnp.zeros((9, 9), jnp.uint8), forced=jnp.int8(-1), player=jnp.int8(0))

    def boards(self, cells: Any) -> Any:
        """Returns 1 and 2 for boards that are won, 3 for full ones, 0 for the others."""
        won = [(cells[:, LINES] == mark).all(-1).any(-1) for mark in (1, 2)]
        return jnp.where(won[0], 1, jnp.where(won[1], 2, jnp.where((cells > 0).all(-1), 3, 0)))

    def step(self, state: Nine, action: Any) -> Nine:
        cells = state.cells.reshape(-1).at[action].set(state.player.astype(jnp.uint8) + 1)
        cells = cells.reshape(9, 9)
        following = action % 9
        free = self.boards(cells)[following] == 0
        forced = jnp.where(free, following, -1).astype(jnp.int8)
        return Nine(cells=cells, forced=forced, player=1 - state.player)

    def current_player(self, state: Nine) -> Any:
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: Nine) -> Any:
        open_boards = self.boards(state.cells) == 0
        here = open_boards & ((state.forced < 0) | (jnp.arange(9) == state.forced))
        return ((state.cells == 0) & here[:, None]).reshape(-1)

    def winner(self, state: Nine) -> Any:
        boards = self.boards(state.cells)
        won = [(boards[LINES] == mark).all(-1).any() for mark in (1, 2)]
        return jnp.where(won[0], 0, jnp.where(won[1], 1, -1))

    def is_terminal(self, state: Nine) -> Any:
        return (self.winner(state) >= 0) | ~self.legal_action_mask(state).any()

    def returns(self, state: Nine) -> Any:
        won = self.winner(state)
        return jnp.where(won < 0, 0.0, jnp.where(jnp.arange(2) == won, 1.0, -1.0))

    def observe(self, state: Nine) -> Any:
        own = state.cells == state.player.astype(jnp.uint8) + 1
        theirs = state.cells == 2 - state.player.astype(jnp.uint8)
        forced = jnp.broadcast_to((jnp.arange(9) == state.forced)[:, None], (9, 9))
        return jnp.stack([own, theirs, forced], -1).astype(jnp.float32)


class ForcedBoardIsNotShown(UltimateTicTacToe):
    """A mistake: the observation shows the marks alone."""

    def observe(self, state: Nine) -> Any:
        return super().observe(state)[..., :2]


@pytree
class Deal:
    """Two cards of three, and what was done."""

    cards: Array
    moves: Array
    ply: Array


class Kuhn(Game[Deal]):
    """Kuhn poker: pass (0) or bet (1); the other card is hidden from the player."""

    name = "kuhn"
    hidden_information = True
    num_actions = 2
    max_plies = 3

    def init(self, key: Any) -> Deal:
        return Deal(
            cards=jax.random.permutation(key, 3)[:2].astype(jnp.int8),
            moves=jnp.full(3, -1, jnp.int8),
            ply=jnp.int32(0),
        )

    def step(self, state: Deal, action: Any) -> Deal:
        moves = state.moves.at[state.ply].set(action.astype(jnp.int8))
        return Deal(cards=state.cards, moves=moves, ply=state.ply + 1)

    def current_player(self, state: Deal) -> Any:
        return state.ply % 2

    def legal_action_mask(self, state: Deal) -> Any:
        return jnp.ones(2, bool)

    def is_terminal(self, state: Deal) -> Any:
        first, second = state.moves[0], state.moves[1]
        return ((state.ply == 2) & ~((first == 0) & (second == 1))) | (state.ply == 3)

    def returns(self, state: Deal) -> Any:
        bets = (state.moves == 1).sum()
        higher = jnp.where(state.cards[0] > state.cards[1], 1.0, -1.0)
        last_passed = state.moves[state.ply - 1] == 0
        # One bet that was not met: whoever passed gives up.
        folded = jnp.where((state.ply - 1) % 2 == 0, -0.5, 0.5)
        shown = jnp.where(bets == 2, higher, higher / 2)
        result = jnp.where((bets == 1) & last_passed, folded, shown)
        result = jnp.where(self.is_terminal(state), result, 0.0)
        return jnp.stack([result, -result])

    def observe(self, state: Deal) -> Any:
        own = jax.nn.one_hot(state.cards[state.ply % 2], 3)
        return jnp.concatenate([own, jax.nn.one_hot(state.moves, 2).reshape(-1)])
