"""An asymmetric game: the players have different roles, moves and chances, all of them known."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key

from selfplay.game import Game, pytree

BOXES = 8
TRIES = 3


@pytree
class Hunt:
    """Where the hider is (-1: nowhere yet), which boxes were opened, and who hides."""

    hidden: Int8[Array, ""]
    opened: Bool[Array, "8"]
    hider: Int32[Array, ""]


class HideAndSeek(Game[Hunt]):
    """One player hides in one of eight boxes, the other one opens three; who is found has lost.

    Actions 0 to 7 hide in a box, 8 to 15 open one. At random the hider wins 5 of 8 matches, and the
    first, the second and the third box are the right one in 1 of 8 each. Without `random_roles`
    player 0 hides, with it the key decides who does.
    """

    name = "hide_and_seek"
    num_actions = 2 * BOXES
    max_plies = 1 + TRIES

    def __init__(self, random_roles: bool = False) -> None:
        self.random_roles = random_roles

    def init(self, key: Key[Array, ""]) -> Hunt:
        hider = jax.random.bernoulli(key).astype(jnp.int32) if self.random_roles else jnp.int32(0)
        return Hunt(hidden=jnp.int8(-1), opened=jnp.zeros(BOXES, bool), hider=hider)

    def step(self, state: Hunt, action: Int32[Array, ""]) -> Hunt:
        hides = state.hidden < 0
        opened = state.opened | (jnp.arange(BOXES) == action - BOXES)
        hidden = jnp.where(hides, action, state.hidden).astype(jnp.int8)
        return Hunt(hidden=hidden, opened=opened, hider=state.hider)

    def current_player(self, state: Hunt) -> Int32[Array, ""]:
        return jnp.where(state.hidden < 0, state.hider, 1 - state.hider)

    def legal_action_mask(self, state: Hunt) -> Bool[Array, " A"]:
        hides = state.hidden < 0
        return jnp.concatenate([jnp.full(BOXES, hides), ~hides & ~state.opened])

    def _found(self, state: Hunt) -> Bool[Array, ""]:
        return (state.opened & (jnp.arange(BOXES) == state.hidden)).any()

    def is_terminal(self, state: Hunt) -> Bool[Array, ""]:
        return self._found(state) | (state.opened.sum() == TRIES)

    def returns(self, state: Hunt) -> Float32[Array, "2"]:
        won = jnp.where(self._found(state), -1.0, 1.0)
        return jnp.where(jnp.arange(2) == state.hider, won, -won)

    def observe(self, state: Hunt) -> Any:
        hides = (state.hidden < 0)[None]
        return jnp.concatenate([state.opened, hides, state.hider[None] == 0]).astype(jnp.float32)
