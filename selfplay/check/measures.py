"""Measures of a game: sizes, speed, lengths and results of random matches."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.arena.statistics import wilson_interval
from selfplay.check.laws.traces import constant_bytes
from selfplay.check.play.exploration import Exploration
from selfplay.contract import fingerprint
from selfplay.game import ChanceGame, Game, is_over, random_ply, start
from selfplay.runtime.memory_plan import match_tree_bytes
from selfplay.settings import Config
from selfplay.settings.sections.rollout import CPU_MATCHES

_SPEED_BATCH = 256
_SPEED_PLIES = 16
_SPEED_ROUNDS = 5


def measure(
    game: Game[Any],
    singles: Mapping[str, Callable[..., Any]],
    exploration: Exploration,
    *,
    full: bool,
) -> dict[str, Any]:
    """Returns what a game is like, by name.

    Args:
        game: the rules.
        singles: methods of one state.
        exploration: what playing it has shown.
        full: whether to measure compilation and speed too.
    """
    played = exploration.played
    state = jax.eval_shape(game.init, jax.random.key(0))
    observation = jax.eval_shape(game.observe, state)
    lengths = np.array([len(line.actions) for line in played.lines] or [0])
    # What is not a number is a fault, told elsewhere; JSON knows no such thing.
    returns = np.nan_to_num(np.array(played.returns or [(0.0, 0.0)]))
    legal = np.array(played.legal or [0])
    finished = np.array(played.finished or [False])
    terminal = np.array(played.terminal or [False])
    state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    config, batch = Config(), CPU_MATCHES
    outcomes = game.num_outcomes if isinstance(game, ChanceGame) else 0
    trees = batch * match_tree_bytes(game, config)
    first_again = played.first_again
    score = float(np.mean((1 + np.sign(returns[:, 0])) / 2))
    first_player = wilson_interval(score, len(returns))
    measures: dict[str, Any] = {
        "state_bytes": state_bytes,
        "observation_shape": list(observation.shape),
        "observation_bytes": int(observation.size * observation.dtype.itemsize),
        "constant_bytes": constant_bytes(game),
        "num_actions": game.num_actions,
        "num_outcomes": outcomes,
        "max_plies": game.max_plies,
        "symmetries": len(list(game.symmetries())),
        "matches": len(played.lines),
        "positions": len(played.players) + exploration.explorer.positions,
        "distinct_starts": len(played.starts),
        "legal_actions": _distribution(legal),
        "match_plies": _distribution(lengths),
        "truncated_share": float(np.mean(finished & ~terminal)),
        "unfinished_share": float(np.mean(~finished & (lengths == lengths.max()))),
        "drawn_share": float(np.mean(returns[:, 0] == 0)),
        "first_player_score": score,
        "first_player_interval": [first_player.low, first_player.high],
        "moves_again_share": played.again[0] / played.again[1] if played.again[1] else 0.0,
        "moves_again_first": list(first_again.actions) if first_again else [],
        "only_mover": played.players[0] if len(set(played.players)) == 1 else None,
        "tree_bytes_per_device": trees,
        "tree_batch": batch,
        "tree_simulations": config.search.num_simulations,
    }
    if full:
        measures["fingerprint"] = fingerprint(game)
        measures["compile_seconds"] = _compile_seconds(game, singles)
        measures["plies_per_second"] = _plies_per_second(game)
        measures["speed_batch"] = _SPEED_BATCH
    return measures


def _compile_seconds(
    game: Game[Any], singles: Mapping[str, Callable[..., Any]]
) -> dict[str, float]:
    """Returns how long each method takes to compile, for one state."""
    state = jax.eval_shape(game.init, jax.random.key(0))
    seconds = {}
    for method in ("init", *singles):
        arguments: tuple[Any, ...] = (state,)
        if method == "init":
            arguments = (jax.random.key(0),)
        elif method == "step":
            arguments = (state, jax.ShapeDtypeStruct((), jnp.int32))
        function = getattr(game, method)
        begin = time.perf_counter()
        # A new function: the one that was used is compiled already.
        jax.jit(lambda *arguments, function=function: function(*arguments)).lower(
            *arguments
        ).compile()
        seconds[method] = round(time.perf_counter() - begin, 3)
    return seconds


def _plies_per_second(game: Game[Any]) -> float:
    """Returns how fast random matches are played side by side on one device."""

    def play(position: Any, key: Any) -> tuple[Any, None]:
        action_key, chance_key = jax.random.split(key)
        after = random_ply(game, position, key=action_key, chance_key=chance_key).position
        # Ended matches begin anew, so that all rows go on working.
        over = is_over(game, after)
        fresh = start(game, jax.random.key(0))
        return jax.tree.map(lambda new, old: jnp.where(over, new, old), fresh, after), None

    def run(positions: Any, key: Any) -> Any:
        keys = jax.random.split(key, (_SPEED_BATCH, _SPEED_PLIES))
        return jax.vmap(lambda position, row: jax.lax.scan(play, position, row)[0])(positions, keys)

    compiled = jax.jit(run)
    keys = jax.random.split(jax.random.key(1), _SPEED_BATCH)
    positions = jax.vmap(lambda key: start(game, key))(keys)
    positions = jax.block_until_ready(compiled(positions, jax.random.key(2)))
    rates = []
    for index in range(_SPEED_ROUNDS):
        begin = time.perf_counter()
        positions = jax.block_until_ready(compiled(positions, jax.random.key(3 + index)))
        rates.append(_SPEED_BATCH * _SPEED_PLIES / (time.perf_counter() - begin))
    return float(np.median(rates))


def _distribution(values: np.ndarray) -> dict[str, float]:
    low, middle, high = np.percentile(values, [5, 50, 95])
    return {
        "mean": round(float(values.mean()), 2),
        "least": int(values.min()),
        "p5": float(low),
        "median": float(middle),
        "p95": float(high),
        "most": int(values.max()),
    }
