"""Resignation: a player whose position is lost gives up, in most matches.

Silver et al., "Mastering the game of Go without human knowledge", 2017, Methods, "Self-play". In
the other matches nobody resigns. They show how often a match is given up that was not lost; see
`selfplay.runtime.resignations`, which chooses the threshold.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32

from selfplay.errors import ConfigError
from selfplay.game import Game
from selfplay.settings.sections.rollout import RolloutConfig

NEVER = -2.0
"""A threshold below every value."""

_GOLDEN = 2654435769


def check_resignation(game: Game[Any], config: RolloutConfig) -> None:
    """Raises `ConfigError` if players are to resign in a game where nobody may."""
    state = jax.eval_shape(game.init, jax.random.key(0))
    if config.resign_share and jax.eval_shape(game.auxiliary_targets, state, state):
        raise ConfigError(
            f"rollout.resign_share is {config.resign_share:g}, but {game.name} has auxiliary "
            "targets",
            hint="they are made from the final position, so such matches must be played to the end",
        )


def may_resign(start_keys: Any, share: float) -> Any:
    """Returns in which matches players may resign; the others are played out.

    The key that a match was started with decides, so its record still tells.

    Args:
        start_keys: [..., 2] unsigned numbers of 32 bits, of JAX or NumPy.
        share: of the matches, in [0, 1).
    """
    mixed = (start_keys[..., 0] ^ start_keys[..., 1]) * start_keys.dtype.type(_GOLDEN)
    return (mixed >> 8) < int(share * 2**24)


def resigns(
    values: Float32[Array, " B"],
    threshold: Float32[Array, ""],
    allowed: Bool[Array, " B"],
    over: Bool[Array, " B"],
) -> Bool[Array, " B"]:
    """Returns in which matches the player who has moved gives up.

    Args:
        values: after the search, in [-1, 1], for the player who moved.
        threshold: at or below which he gives up.
        allowed: whether players of the match may give up after this ply.
        over: whether the move has ended the match.
    """
    return allowed & ~over & (values <= threshold)


def returns_of_resigned(players: Int32[Array, " B"]) -> Float32[Array, "B 2"]:
    """Returns the results of matches that these players lose."""
    return 1.0 - 2.0 * jax.nn.one_hot(players, 2, dtype=jnp.float32)
