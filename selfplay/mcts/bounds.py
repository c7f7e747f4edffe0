"""Proven bounds: what is certain of a position, whatever an evaluator says of it.

Winands, Björnsson and Saito, "Monte-Carlo tree search solver", 2008, mark positions as won or lost;
Cazenave and Saffidine, "Score bounded Monte-Carlo tree search", 2010, keep a lower and an upper
bound, which works for draws and for any other results. All bounds follow from ended matches alone
and lie in [-1, 1]: a value between them is certain, and a position is decided where they are equal.
They are copied and negated but never added up, so comparing them is exact.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32

from selfplay.game import Game, Position, advance, pytree

LOWEST, HIGHEST = -1.0, 1.0
"""Of any result; the bounds of a position of which nothing is known."""


@pytree
class Bounds:
    """What is certain of some values: each lies between its two bounds.

    Attributes:
        lower: at least -1.
        upper: at most 1.
    """

    lower: Float32[Array, "..."]
    upper: Float32[Array, "..."]

    @property
    def decided(self) -> Bool[Array, "..."]:
        """Returns where the value is known exactly."""
        return self.lower == self.upper


def seen_by_parent(
    bounds: Bounds, rewards: Float32[Array, "..."], discounts: Float32[Array, "..."]
) -> Bounds:
    """Returns the bounds of positions for the player who moved there.

    Args:
        bounds: of the positions, for the player to move there.
        rewards: of the moves, see `selfplay.game.Transition`.
        discounts: of the moves; 0 where the match is over, so that the reward is certain.
    """
    turned = discounts < 0
    size = jnp.abs(discounts)
    return Bounds(
        lower=rewards + size * jnp.where(turned, -bounds.upper, bounds.lower),
        upper=rewards + size * jnp.where(turned, -bounds.lower, bounds.upper),
    )


def of_best_action(
    actions: Bounds, legal: Bool[Array, "B K"], before: Bounds, left_out: Bool[Array, " B"]
) -> Bounds:
    """Returns the bounds of `B` positions, those of the best of their actions.

    Args:
        actions: bounds [B, K] of their actions, for the player to move.
        legal: which of the K actions there are.
        before: what was certain of the positions already.
        left_out: whether a position has legal actions that are not among the K.
    """
    best = jnp.max(jnp.where(legal, actions.lower, LOWEST), axis=-1)
    most = jnp.max(jnp.where(legal, actions.upper, LOWEST), axis=-1)
    return Bounds(
        lower=jnp.maximum(before.lower, best),
        upper=jnp.minimum(before.upper, jnp.where(left_out, HIGHEST, most)),
    )


def dominated(
    actions: Bounds, legal: Bool[Array, "B K"], certain: Float32[Array, " B"]
) -> Bool[Array, "B K"]:
    """Returns which actions cannot be better than another one that is known to be as good.

    Where all actions are decided, exactly the best ones are left.

    Args:
        actions: bounds [B, K], for the player to move.
        legal: which of the K actions there are.
        certain: lower bounds of the positions.
    """
    certain = certain[:, None]
    as_good = legal & (actions.lower == certain)
    widest = jnp.max(jnp.where(as_good, actions.upper, LOWEST), axis=-1, keepdims=True)
    reaches = actions.upper == certain
    return (actions.upper < certain) | (reaches & ((widest > certain) | (actions.lower < certain)))


def look_ahead(game: Game[Any], positions: Position[Any], legal: Bool[Array, "B A"]) -> Bounds:
    """Returns what is certain of each action [B, A], for the player to move, after one ply.

    An action that ends the match is decided; of any other nothing is known. The rules are asked
    for all actions of each position, so this costs `A` steps.

    Args:
        game: the rules.
        positions: `B` positions.
        legal: their legal actions; for the others nothing is known.
    """
    # Illegal actions are never played: a legal one stands in for them.
    actions = jnp.where(
        legal, jnp.arange(legal.shape[1]), jnp.argmax(legal, axis=-1)[:, None]
    ).astype(jnp.int32)
    play = functools.partial(advance, game)
    played = jax.vmap(jax.vmap(play, in_axes=(None, 0)))(positions, actions)
    ends = played.over & legal
    return Bounds(
        lower=jnp.where(ends, played.reward, LOWEST),
        upper=jnp.where(ends, played.reward, HIGHEST),
    )
