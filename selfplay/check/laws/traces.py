"""Traces of the methods of a game, and the arrays that they hold."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from selfplay.game import Game

METHODS = (
    "step",
    "current_player",
    "legal_action_mask",
    "is_terminal",
    "returns",
    "observe",
)
"""Methods of one state that every game has."""


def trace(game: Game[Any], method: str, state: Any) -> Any:
    """Returns a new trace of a method; `state` has the shapes of one state."""
    function = getattr(game, method)
    # A new function each time: JAX would remember the trace of the old one.
    if method == "init":
        return jax.make_jaxpr(lambda key: function(key))(jax.random.key(0))
    if method == "step":
        action = jax.ShapeDtypeStruct((), jnp.int32)
        return jax.make_jaxpr(lambda state, action: function(state, action))(state, action)
    return jax.make_jaxpr(lambda state: function(state))(state)


def constants(traced: Any) -> Iterator[Any]:
    """Yields the arrays that a trace holds, inner functions included."""
    if hasattr(traced, "consts"):
        yield from traced.consts
    inner = getattr(traced, "jaxpr", traced)
    for equation in getattr(inner, "eqns", ()):
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                if hasattr(part, "eqns") or hasattr(part, "jaxpr"):
                    yield from constants(part)


def constant_bytes(game: Game[Any]) -> int:
    """Returns the bytes of arrays that the methods hold as constants."""
    state = jax.eval_shape(game.init, jax.random.key(0))
    return sum(
        constant.nbytes
        for method in METHODS
        for constant in constants(trace(game, method, state))
        if hasattr(constant, "nbytes")
    )
