"""Domineering: player 0 lays dominoes upright, player 1 flat; a player without room loses."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32

from selfplay.game import Game, Symmetry, pytree


@pytree
class State:
    taken: Bool[Array, "size size"]
    player: Int32[Array, ""]


class Domineering(Game[State]):
    name = "domineering"

    def __init__(self, size: int = 6):
        self.size = size
        self.num_actions = size * size  # the upper or the left cell of the domino
        self.max_plies = size * size // 2

    def init(self, key):
        return State(taken=jnp.zeros((self.size, self.size), bool), player=jnp.int32(0))

    def step(self, state, action):
        cell = (jnp.arange(self.num_actions) == action).reshape(self.size, self.size)
        beside = jnp.where(state.player == 0, jnp.roll(cell, 1, axis=0), jnp.roll(cell, 1, axis=1))
        return State(taken=state.taken | cell | beside, player=1 - state.player)

    def current_player(self, state):
        return state.player

    def legal_action_mask(self, state):
        free = ~state.taken
        upright = jnp.pad(free[:-1] & free[1:], ((0, 1), (0, 0)))
        flat = jnp.pad(free[:, :-1] & free[:, 1:], ((0, 0), (0, 1)))
        return jnp.where(state.player == 0, upright, flat).reshape(-1)

    def is_terminal(self, state):
        return ~self.legal_action_mask(state).any()

    def returns(self, state):
        return jnp.where(jnp.arange(2) == state.player, -1.0, 1.0)

    def observe(self, state):
        upright = jnp.broadcast_to(state.player == 0, state.taken.shape)
        return jnp.stack([state.taken, upright], axis=-1).astype(jnp.float32)

    def symmetries(self):
        def swap(state):  # turn the board over its diagonal, and the players change roles
            return State(taken=state.taken.T, player=1 - state.player)

        side = range(self.size)
        turned = [column * self.size + row for row in side for column in side]
        return [Symmetry(name="swap", map_state=swap, permutation=turned)]

    def render(self, state):
        return "\n".join("".join(".#"[cell] for cell in row) for row in state.taken.tolist())
