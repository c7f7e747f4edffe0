"""Clobber in JAX: the port of games/clobber.py that `selfplay check --against` compares with it."""

import jax.numpy as jnp

from selfplay import Game, pytree


@pytree
class ClobberState:
    cells: jnp.ndarray  # int8 [rows, columns]: -1 empty, else whose stone
    player: jnp.ndarray  # int32


class ClobberJax(Game):
    name = "clobber_jax"

    def __init__(self, *, rows: int = 5, columns: int = 6):
        self.rows, self.columns = rows, columns
        self.num_actions = 4 * rows * columns
        self.max_plies = rows * columns - 1

    def init(self, key):
        row, column = jnp.indices((self.rows, self.columns))
        return ClobberState(((row + column) % 2).astype(jnp.int8), jnp.int32(0))

    def step(self, state, action):
        cell, direction = action // 4, action % 4
        # Up, right, down, left.
        target = cell + jnp.array([-self.columns, 1, self.columns, -1])[direction]
        player = state.player.astype(jnp.int8)
        cells = state.cells.reshape(-1).at[cell].set(jnp.int8(-1)).at[target].set(player)
        return ClobberState(cells.reshape(state.cells.shape), 1 - state.player)

    def current_player(self, state):
        return state.player

    def legal_action_mask(self, state):
        own = state.cells == state.player
        theirs = jnp.pad(state.cells == 1 - state.player, 1)
        beside = [theirs[:-2, 1:-1], theirs[1:-1, 2:], theirs[2:, 1:-1], theirs[1:-1, :-2]]
        return (own[:, :, None] & jnp.stack(beside, axis=-1)).reshape(-1)

    def is_terminal(self, state):
        return ~self.legal_action_mask(state).any()

    def returns(self, state):
        lost = jnp.where(jnp.arange(2) == state.player, -1.0, 1.0)
        return jnp.where(self.is_terminal(state), lost, 0.0).astype(jnp.float32)

    def observe(self, state):
        planes = (state.cells == state.player, state.cells == 1 - state.player)
        return jnp.stack(planes, axis=-1).astype(jnp.float32)
