"""Where a match stands: a state, and how many plies led to it."""

from typing import Any, Generic, TypeVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, Key, PyTree

from selfplay.game.pytrees import pytree
from selfplay.game.rules import Game

S = TypeVar("S")


@pytree
class Position(Generic[S]):
    """A state and the number of plies played to reach it: what searches and matches step over.

    Attributes:
        state: the game's own state.
        ply: how many actions have been played.

    >>> import jax, selfplay
    >>> game = selfplay.make("tic_tac_toe")
    >>> position = Position(state=game.init(jax.random.key(0)), ply=jax.numpy.int32(0))
    >>> int(game.current_player(position.state)), int(position.ply)
    (0, 0)
    """

    state: PyTree
    ply: Int32[Array, ""]


def start(game: Game[Any], key: Key[Array, ""]) -> Position[Any]:
    """Returns the first position of a match; `key` is consumed."""
    return Position(state=game.init(key), ply=jnp.int32(0))


def is_over(game: Game[Any], position: Position[Any]) -> Bool[Array, ""]:
    """Returns whether the match has ended, by the rules or by its length."""
    return game.is_terminal(position.state) | (position.ply >= game.max_plies)


def is_truncated(game: Game[Any], position: Position[Any]) -> Bool[Array, ""]:
    """Returns whether the match was ended by `max_plies` alone."""
    return ~game.is_terminal(position.state) & (position.ply >= game.max_plies)


def stepped(game: Game[Any], position: Position[Any], action: Int32[Array, ""]) -> Position[Any]:
    """Returns the position after `action`; in a `ChanceGame` the afterstate, before any chance."""
    return Position(state=game.step(position.state, action), ply=position.ply + 1)
