"""Random plies: what openings, playouts and checks of the rules are made of."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, Key, PyTree

from selfplay.game.chance import ChanceGame, draw_outcome
from selfplay.game.position import Position
from selfplay.game.pytrees import pytree
from selfplay.game.rules import Game
from selfplay.game.transition import advance


@pytree
class RandomPly:
    """One random ply.

    Attributes:
        position: where it leads; the same as before if the match was over.
        action: what was played.
        outcome: the chance outcome that followed, -1 if none did.
    """

    position: Position[Any]
    action: Int32[Array, ""]
    outcome: Int32[Array, ""]


def random_ply(
    game: Game[Any],
    position: Position[Any],
    *,
    key: Key[Array, ""],
    chance_key: Key[Array, ""] | None = None,
) -> RandomPly:
    """Plays a uniformly random legal action and draws the chance outcome that follows.

    Args:
        game: the rules.
        position: where the match stands.
        key: consumed.
        chance_key: consumed; draws the outcome. None: in a `ChanceGame` both come from `key`.
    """
    if chance_key is None and isinstance(game, ChanceGame):
        key, chance_key = jax.random.split(key)
    action = random_legal_action(game, position.state, key=key)
    if chance_key is None:
        outcome = jnp.int32(-1)
    else:
        outcome = draw_outcome(game, position, action, key=chance_key)
    after = advance(game, position, action, outcome).position
    return RandomPly(position=after, action=action, outcome=outcome)


def random_legal_action(game: Game[Any], state: PyTree, *, key: Key[Array, ""]) -> Int32[Array, ""]:
    """Returns a uniformly random legal action of one state; `key` is consumed."""
    legal = game.legal_action_mask(state)
    noise = jax.random.uniform(key, legal.shape)
    return jnp.argmax(jnp.where(legal, noise, -1.0)).astype(jnp.int32)
