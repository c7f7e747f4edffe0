"""Positions and evaluators for the tests of search and self-play."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from selfplay.game import Game, Position, advance, is_over, start
from selfplay.mcts import Evaluation, Evaluator, SearchResult, SearchTree, search, search_with_tree
from selfplay.settings.sections import SearchConfig


def first_positions(game: Game[Any], count: int, *, seed: int = 0) -> Position[Any]:
    """Returns `count` matches at their first position."""
    return _begin(game, jax.random.split(jax.random.key(seed), count))


@functools.partial(jax.jit, static_argnums=0)
def _begin(game: Game[Any], keys: jax.Array) -> Position[Any]:
    return jax.vmap(functools.partial(start, game))(keys)


def copies(position: Position[Any], count: int) -> Position[Any]:
    """Returns the same position `count` times."""
    return jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], count, 0), position)


def stacked(positions: list[Position[Any]]) -> Position[Any]:
    """Returns single positions as a batch."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *positions)


def joined(*parts: Position[Any]) -> Position[Any]:
    """Returns several batches as one."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def random_positions(game: Game[Any], count: int, *, seed: int = 0) -> Position[Any]:
    """Returns positions of random matches, each at a random ply; none is over."""
    positions, over = _random_play(game)(jax.random.split(jax.random.key(seed), count))
    assert not over.any()
    return positions


@functools.lru_cache(maxsize=16)
def _random_play(game: Game[Any]) -> Callable[[jax.Array], tuple[Position[Any], jax.Array]]:
    """Returns what plays a match for each key; traced once for a game."""

    def position(key: jax.Array) -> tuple[Position[Any], jax.Array]:
        start_key, ply_key, *move_keys = jax.random.split(key, 2 + game.max_plies)
        wanted = jax.random.randint(ply_key, (), 0, game.max_plies)

        def play(position: Position[Any], key: jax.Array) -> tuple[Position[Any], None]:
            legal = game.legal_action_mask(position.state)
            noise = jax.random.uniform(key, legal.shape)
            action = jnp.argmax(jnp.where(legal, noise, -1.0)).astype(jnp.int32)
            after = advance(game, position, action)
            stays = after.over | (position.ply >= wanted)
            return (
                jax.tree.map(lambda new, old: jnp.where(stays, old, new), after.position, position),
                None,
            )

        found = jax.lax.scan(play, start(game, start_key), jnp.stack(move_keys))[0]
        return found, is_over(game, found)

    return jax.jit(jax.vmap(position))


@functools.lru_cache(maxsize=16)
def opinionated_evaluator(game: Game[Any]) -> Evaluator:
    """Returns an evaluator with a different opinion of every state, set by its params.

    Params: "logits" [A] and "value" [] for all states alike, and "spread" [], by which policies
    and values of different states differ. Nothing is masked.
    """

    def evaluate(params: Any, states: Any, *, key: jax.Array) -> Evaluation:
        del key
        seen = jax.vmap(game.observe)(states).astype(jnp.float32)
        flat = seen.reshape(seen.shape[0], -1)
        waves = jax.random.normal(jax.random.key(5), (flat.shape[1], game.num_actions + 1))
        noise = jnp.sin(3 * flat @ waves + jnp.arange(game.num_actions + 1)[None])
        value = jnp.clip(params["value"] + 0.9 * params["spread"] * noise[:, 0], -1, 1)
        return Evaluation(
            policy_logits=params["logits"][None] + params["spread"] * 2 * noise[:, 1:],
            value=value,
        )

    return evaluate


def opinion(
    game: Game[Any], *, logits: Any = 0.0, value: float = 0.0, spread: float = 0.0
) -> dict[str, jax.Array]:
    """Returns params for `opinionated_evaluator`."""
    return {
        "logits": jnp.broadcast_to(jnp.asarray(logits, jnp.float32), game.num_actions),
        "value": jnp.float32(value),
        "spread": jnp.float32(spread),
    }


Search = Callable[..., SearchResult]
TreeSearch = Callable[..., tuple[SearchResult, SearchTree]]


def compiled(game: Game[Any], evaluate: Evaluator, config: SearchConfig) -> Search:
    """Returns `search` compiled: (params, positions, seed) to a result on the host.

    For equal arguments it is the same again.
    """
    function: Any = evaluate
    return _compiled(game, function, config)


@functools.lru_cache(maxsize=32)
def _compiled(game: Game[Any], evaluate: Any, config: SearchConfig) -> Search:
    run = jax.jit(
        lambda params, positions, key: search(game, evaluate, params, positions, config, key=key)
    )

    def call(params: Any, positions: Position[Any], seed: int) -> SearchResult:
        return jax.device_get(run(params, positions, jax.random.key(seed)))

    return call


def compiled_with_tree(game: Game[Any], evaluate: Evaluator, config: SearchConfig) -> TreeSearch:
    """Returns `search_with_tree` compiled: (params, positions, seed) to results on the host.

    For equal arguments it is the same again.
    """
    function: Any = evaluate
    return _compiled_with_tree(game, function, config)


@functools.lru_cache(maxsize=32)
def _compiled_with_tree(game: Game[Any], evaluate: Any, config: SearchConfig) -> TreeSearch:
    run = jax.jit(
        lambda params, positions, key: search_with_tree(
            game, evaluate, params, positions, config, key=key
        )
    )

    def call(params: Any, positions: Position[Any], seed: int) -> tuple[SearchResult, SearchTree]:
        return jax.device_get(run(params, positions, jax.random.key(seed)))

    return call
