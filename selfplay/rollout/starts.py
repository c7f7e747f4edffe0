"""How the matches of self-play begin: anew, with random moves, or as an earlier match began.

Restarts from positions of earlier matches follow Trudeau and Bowling, "Targeted search control in
AlphaZero for effective policy improvement", 2023 (Go-Exploit). A match that goes on from such a
position repeats the moves of the earlier one first, so its record holds how it came to be.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, Key, UInt32

from selfplay.game import Game, Position, pytree, start
from selfplay.settings.sections.rollout import RolloutConfig

POSITIONS = 128
"""Positions of each player to move from which matches may go on."""

_MOST_MOVES = 64


def most_repeated(game: Game[Any]) -> int:
    """Returns `K`, the largest number of moves that a restarted match repeats."""
    return min(game.max_plies, _MOST_MOVES)


@pytree
class Repeated:
    """The moves with which `B` matches begin, because an earlier match did.

    Attributes:
        actions: the moves.
        outcomes: the chance outcome after each, -1 for none.
        lengths: how many there are, at most `K`; 0 where a match began anew.
    """

    actions: Int32[Array, "B K"]
    outcomes: Int32[Array, "B K"]
    lengths: Int32[Array, " B"]


@pytree
class Restarts:
    """Positions of earlier matches, `P` for each player to move, from which new ones may go on.

    Attributes:
        start_keys: data of the keys that the earlier matches were started with.
        actions: their moves up to the position.
        outcomes: the chance outcome after each, -1 for none.
        lengths: how many moves these are.
        counts: how many of the positions of each player there are; the others mean nothing.
    """

    start_keys: UInt32[Any, "2 P 2"]
    actions: Int32[Any, "2 P K"]
    outcomes: Int32[Any, "2 P K"]
    lengths: Int32[Any, "2 P"]
    counts: Int32[Any, "2"]


def no_restarts(game: Game[Any]) -> Restarts:
    """Returns room for `POSITIONS` positions of each player, with none in it."""
    count, width = POSITIONS, most_repeated(game)
    return Restarts(
        start_keys=jnp.zeros((2, count, 2), jnp.uint32),
        actions=jnp.zeros((2, count, width), jnp.int32),
        outcomes=jnp.zeros((2, count, width), jnp.int32),
        lengths=jnp.zeros((2, count), jnp.int32),
        counts=jnp.zeros(2, jnp.int32),
    )


@pytree
class Matches:
    """The state of `B` matches in progress, which self-play carries from ply to ply.

    Attributes:
        positions: the current position of each match, never a final one.
        start_keys: data of the key that each match was started with.
        random_plies: number of random moves at the start of each match.
        repeated: the moves that each repeats; None if `restart_share` is 0.
    """

    positions: Position[Any]
    start_keys: UInt32[Array, "B 2"]
    random_plies: Int32[Array, " B"]
    repeated: Repeated | None


def begin(
    game: Game[Any], config: RolloutConfig, keys: Key[Array, " B"], restarts: Restarts | None = None
) -> Matches:
    """Returns one new match for each key.

    Args:
        game: the rules.
        config: says which share begins with random moves, and which goes on from elsewhere.
        keys: consumed.
        restarts: where to go on; None for nowhere.
    """
    start_keys, random_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)

    def draw(key: Key[Array, ""]) -> Array:
        share_key, count_key = jax.random.split(key)
        count = jax.random.randint(count_key, (), 1, config.random_opening_plies + 1)
        return jnp.where(
            jax.random.uniform(share_key) < config.random_opening_share, count, 0
        ).astype(jnp.int32)

    key_data = jax.random.key_data(start_keys)
    random_plies = jax.vmap(draw)(random_keys)
    repeated = None
    if config.restart_share:
        batch, width = len(random_plies), most_repeated(game)
        repeated = Repeated(
            actions=jnp.zeros((batch, width), jnp.int32),
            outcomes=jnp.zeros((batch, width), jnp.int32),
            lengths=jnp.zeros(batch, jnp.int32),
        )
        if restarts is not None:
            # A third key beside the two that `draw` splits, so that it draws what it always did.
            restart_keys = jax.vmap(lambda key: jax.random.split(key, 3)[2])(random_keys)
            repeated, drawn_keys = _drawn(config.restart_share, restarts, restart_keys)
            goes_on = repeated.lengths > 0
            key_data = jnp.where(goes_on[:, None], drawn_keys, key_data)
            random_plies = jnp.where(goes_on, 0, random_plies)
            start_keys = jax.random.wrap_key_data(key_data)
    return Matches(
        positions=jax.vmap(functools.partial(start, game))(start_keys),
        start_keys=key_data,
        random_plies=random_plies,
        repeated=repeated,
    )


def _drawn(
    share: float, restarts: Restarts, keys: Key[Array, " B"]
) -> tuple[Repeated, UInt32[Array, "B 2"]]:
    """Returns the moves that matches repeat, and their start keys; none for those that begin anew.

    Both players are to move where matches go on equally often, whoever errs more.
    """
    share_draw, player_draw, place_draw = jax.vmap(lambda key: jax.random.uniform(key, (3,)))(
        keys
    ).T
    coin = (player_draw < 0.5).astype(jnp.int32)
    player = jnp.where(restarts.counts[coin] > 0, coin, 1 - coin)
    count = restarts.counts[player]
    place = jnp.clip((place_draw * count).astype(jnp.int32), 0, jnp.maximum(count - 1, 0))
    goes_on = (share_draw < share) & (count > 0)
    repeated = Repeated(
        actions=restarts.actions[player, place],
        outcomes=restarts.outcomes[player, place],
        lengths=jnp.where(goes_on, restarts.lengths[player, place], 0),
    )
    return repeated, restarts.start_keys[player, place]


def repeat(
    repeated: Repeated,
    plies: Int32[Array, " B"],
    actions: Int32[Array, " B"],
    outcomes: Int32[Array, " B"],
) -> tuple[Bool[Array, " B"], dict[str, Int32[Array, " B"]]]:
    """Returns which matches repeat a move now, and the actions and outcomes of all matches.

    Args:
        repeated: the moves that they repeat.
        plies: at which they are.
        actions: of the others.
        outcomes: of the others.
    """
    repeats = plies < repeated.lengths
    at = jnp.minimum(plies, repeated.actions.shape[1] - 1)[:, None]

    def instead(moves: Int32[Array, "B K"], own: Int32[Array, " B"]) -> Int32[Array, " B"]:
        return jnp.where(repeats, jnp.take_along_axis(moves, at, axis=1)[:, 0], own)

    return repeats, {
        "actions": instead(repeated.actions, actions),
        "outcomes": instead(repeated.outcomes, outcomes),
    }
