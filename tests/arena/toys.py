"""Small games and scripted agents for the tests of the arena."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.game import Game, Position, pytree


@pytree
class TallyState:
    """How often each player chose action 1, and how many plies were played."""

    ones: Any
    ply: Any
    bonus: Any


class Tally(Game[TallyState]):
    """Six plies, players 0 0 1 1 0 1: whoever chose action 1 more often wins; 2 is never legal.

    With `random_bonus` one player, chosen by the key, begins with a lead of that many.
    """

    name = "tally"
    num_actions = 3
    max_plies = 8
    order = (0, 0, 1, 1, 0, 1)

    def __init__(self, *, random_bonus: int = 0, max_plies: int = 8) -> None:
        self.random_bonus = random_bonus
        self.max_plies = max_plies

    def init(self, key):
        bonus = jnp.int32(0)
        if self.random_bonus:
            bonus = jnp.where(jax.random.bernoulli(key), self.random_bonus, -self.random_bonus)
            bonus = bonus.astype(jnp.int32)
        return TallyState(ones=jnp.zeros(2, jnp.int32), ply=jnp.int32(0), bonus=bonus)

    def step(self, state, action):
        mover = jnp.arange(2) == self.current_player(state)
        ones = state.ones + jnp.where(mover, action == 1, 0)
        return TallyState(ones=ones.astype(jnp.int32), ply=state.ply + 1, bonus=state.bonus)

    def current_player(self, state):
        return jnp.array(self.order, jnp.int32)[jnp.minimum(state.ply, 5)]

    def legal_action_mask(self, state):
        return jnp.array([True, True, False])

    def is_terminal(self, state):
        return state.ply >= 6

    def returns(self, state):
        lead = jnp.sign(state.ones[0] - state.ones[1] + state.bonus)
        return jnp.array([1.0, -1.0]) * lead.astype(jnp.float32)

    def observe(self, state):
        return jnp.concatenate([state.ones, state.ply[None]]).astype(jnp.float32)


class ScriptedAgent:
    """Plays what a function of one position says; remembers the players it was asked for."""

    def __init__(self, name: str, choose: Callable[[Any], int], game: Game[Any]) -> None:
        self.name = name
        self.calls = 0
        self.players: list[int] = []
        self._choose = choose
        self._game = game

    def select(self, positions: Position[Any], *, key) -> np.ndarray:
        rows = [
            jax.device_put(jax.tree.map(lambda leaf, row=row: np.asarray(leaf)[row], positions))
            for row in range(len(positions.ply))
        ]
        self.calls += 1
        self.players += [int(self._game.current_player(row.state)) for row in rows]
        return np.array([self._choose(row.state) for row in rows], np.int32)


def always(action: int, game: Game[Any]) -> ScriptedAgent:
    """Returns an agent that always plays `action`."""
    return ScriptedAgent(f"always {action}", lambda state: action, game)


@pytree
class PassesState:
    """Which of four cells are taken, and how many plies were played."""

    taken: Any
    ply: Any


class Passes(Game[PassesState]):
    """Players take turns at taking cells; at plies 1 and 4 they pass, and whoever has a3 wins.

    The pass is the only legal move then, unless `free`: a cell may be taken instead.
    """

    name = "passes"
    num_actions = 5
    max_plies = 6
    names = ("a3", "b3", "c3", "a2", "pass")

    def __init__(self, *, free: bool = False) -> None:
        self.free = free

    def init(self, key):
        return PassesState(taken=jnp.full(4, -1, jnp.int32), ply=jnp.int32(0))

    def step(self, state, action):
        taken = jnp.where(jnp.arange(4) == action, self.current_player(state), state.taken)
        return PassesState(taken=taken, ply=state.ply + 1)

    def current_player(self, state):
        return state.ply % 2

    def legal_action_mask(self, state):
        passing = (state.ply == 1) | (state.ply == 4)
        cells = (state.taken < 0) & (~passing | self.free)
        return jnp.append(cells, passing)

    def is_terminal(self, state):
        return state.ply >= 6

    def returns(self, state):
        return jnp.array([1.0, -1.0]) * jnp.where(state.taken[0] == 1, -1, 1)

    def observe(self, state):
        return state.taken.astype(jnp.float32)

    def action_to_string(self, state, action):
        return self.names[action]


def first_legal(game: Game[Any]) -> ScriptedAgent:
    """Returns an agent that always plays its first legal action."""
    return ScriptedAgent(
        "first legal", lambda state: int(np.argmax(game.legal_action_mask(state))), game
    )
