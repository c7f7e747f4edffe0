"""One ply of a match: the one place where rewards, signs and ends are decided."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32

from selfplay.errors import GameContractError
from selfplay.game.chance import ChanceGame, resolved
from selfplay.game.position import Position, is_over, stepped
from selfplay.game.pytrees import pytree
from selfplay.game.rules import Game


@pytree
class Transition:
    """One played action.

    Attributes:
        position: where it leads.
        reward: the result for the player who moved if the match ended here, else 0; in [-1, 1].
        discount: 0 if the match ended, +1 if the same player moves again, else -1. It turns a
            value for the player to move at `position` into one for the player who moved.
        over: whether the match ended, by the rules or at `max_plies`.
    """

    position: Position[Any]
    reward: Float32[Array, ""]
    discount: Float32[Array, ""]
    over: Bool[Array, ""]


def advance(
    game: Game[Any],
    position: Position[Any],
    action: Int32[Array, ""],
    outcome: Int32[Array, ""] | None = None,
) -> Transition:
    """Plays `action`; an ended match absorbs it: same position, reward 0, discount 0.

    Values are always for the player to move, so a player who moves twice in a row needs no care
    anywhere else.

    Args:
        game: the rules.
        position: where the match stands.
        action: legal there.
        outcome: in a `ChanceGame` the chance outcome that follows; without meaning where none
            does.
    """
    was_over = is_over(game, position)
    mover = game.current_player(position.state)
    afterwards = stepped(game, position, action)
    if isinstance(game, ChanceGame):
        if outcome is None:
            raise GameContractError(
                f"{game.name} is a game of chance, but no outcome was given with the action",
                hint="draw one with selfplay.game.draw_outcome",
            )
        afterwards = resolved(game, afterwards, outcome)
    after = jax.tree.map(lambda before, new: jnp.where(was_over, before, new), position, afterwards)
    over = is_over(game, after)
    result = game.returns(after.state)[mover].astype(jnp.float32)
    same_player = game.current_player(after.state) == mover
    return Transition(
        position=after,
        reward=jnp.where(over & ~was_over, result, 0.0).astype(jnp.float32),
        # -1: what is good for the next player is bad for this one. 0: nothing comes after.
        discount=jnp.where(over, 0.0, jnp.where(same_player, 1.0, -1.0)).astype(jnp.float32),
        over=over,
    )
