"""Games whose mistake shows only in thousands of random matches, or when they are learnt.

Who is to move follows from the number of marks, so no field of the state hands the turn to the
other player, and the rules alone prove nothing.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Int8

from selfplay.game import Game, pytree


@pytree
class Board:
    """Marks, and who has won."""

    cells: Int8[Array, "3 3"]
    winner: Int8[Array, ""]


class Counted(Game[Board]):
    """Tic-tac-toe in which the marks are counted to see who is to move."""

    name = "counted"
    num_actions = 9
    max_plies = 9

    def init(self, key: Any) -> Board:
        return Board(cells=jnp.full((3, 3), -1, jnp.int8), winner=jnp.int8(-1))

    def step(self, state: Board, action: Any) -> Board:
        player = self.current_player(state).astype(jnp.int8)
        cells = jnp.where(jnp.arange(9).reshape(3, 3) == action, player, state.cells)
        own = cells == player
        line = own.all(axis=0).any() | own.all(axis=1).any()
        line = line | (own[0, 0] & own[1, 1] & own[2, 2]) | (own[0, 2] & own[1, 1] & own[2, 0])
        return Board(cells=cells, winner=jnp.where(line, player, state.winner))

    def current_player(self, state: Board) -> Any:
        return (state.cells >= 0).sum(dtype=jnp.int32) % 2

    def legal_action_mask(self, state: Board) -> Any:
        return (state.cells < 0).reshape(-1)

    def is_terminal(self, state: Board) -> Any:
        return (state.winner >= 0) | (state.cells >= 0).all()

    def returns(self, state: Board) -> Any:
        won = jnp.where(jnp.arange(2) == state.winner, 1.0, -1.0)
        return jnp.where(state.winner < 0, 0.0, won)

    def observe(self, state: Board) -> Any:
        player = self.current_player(state)
        marks = (state.cells == player, state.cells == 1 - player)
        return jnp.stack(marks, axis=-1).astype(jnp.float32)


class WinsOfPlayerOneAreLost(Counted):
    """Every line counts for player 0."""

    name = "wrong_sign"

    def returns(self, state: Board) -> Any:
        return jnp.where(state.winner < 0, 0.0, jnp.array([1.0, -1.0]))


class PlayerZeroFirst(Counted):
    """The observation shows the marks of player 0, then those of player 1, to both."""

    name = "wrong_side"

    def observe(self, state: Board) -> Any:
        return jnp.stack([state.cells == 0, state.cells == 1], axis=-1).astype(jnp.float32)


class NothingIsShown(Counted):
    """The observation is a constant."""

    name = "blind"

    def observe(self, state: Board) -> Any:
        return jnp.ones((3, 3, 1))


UNPROVEN: list[tuple[Game[Any], str]] = [
    (WinsOfPlayerOneAreLost(), "value-sign"),
    (PlayerZeroFirst(), "observation-side"),
    (NothingIsShown(), "observation"),
]
"""Mistakes that no twin shows, and the laws that thousands of random matches show to be broken."""
