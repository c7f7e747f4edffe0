"""What the host asks about a position, in one transfer."""

from typing import Any

from jaxtyping import Array, Bool, Float32, Int32

from selfplay.game import Game, Position, is_over, is_truncated, pytree


@pytree
class View:
    """One position and what the rules say of it; under `jax.vmap` with a leading axis.

    Attributes:
        position: the state and its ply.
        mover: who is to move.
        legal: True where legal.
        over: whether the match has ended.
        truncated: whether it ended by its length alone.
        returns: result for both players, as it stands.
    """

    position: Position[Any]
    mover: Int32[Array, ""]
    legal: Bool[Array, " A"]
    over: Bool[Array, ""]
    truncated: Bool[Array, ""]
    returns: Float32[Array, "2"]


def view(game: Game[Any], position: Position[Any]) -> View:
    """Returns the view of one position; traceable."""
    return View(
        position=position,
        mover=game.current_player(position.state).astype("int32"),
        legal=game.legal_action_mask(position.state),
        over=is_over(game, position),
        truncated=is_truncated(game, position),
        returns=game.returns(position.state).astype("float32"),
    )
