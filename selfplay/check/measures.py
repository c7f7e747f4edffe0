"""What a game is like: sizes, speed, length of matches; and what of that will hurt training."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.explore import Explorer
from selfplay.check.faults import Fault
from selfplay.check.lines import RandomMatches
from selfplay.check.static import constant_bytes
from selfplay.contract import fingerprint
from selfplay.game import ChanceGame, Game, is_over, random_ply, start
from selfplay.settings.sections import SearchConfig
from selfplay.settings.sections.rollout import CPU_MATCHES

_SPEED_BATCH = 256
_SPEED_PLIES = 16
_SPEED_ROUNDS = 5
_LARGE_STATE = 4096
_LARGE_CONSTANTS = 4 * 2**20
_SLOW_COMPILE_SECONDS = 20.0
# What mctx keeps of every action of every node: an index, a visit count, a prior logit, a value,
# a reward and a discount, 4 bytes each.
_BYTES_PER_EDGE = 24


def measure(
    game: Game[Any],
    singles: Mapping[str, Callable[..., Any]],
    played: RandomMatches,
    explorer: Explorer,
    *,
    full: bool,
) -> dict[str, Any]:
    """Returns what a game is like, by name.

    Args:
        game: the rules.
        singles: methods of one state.
        played: random matches.
        explorer: knows how much was tried.
        full: whether to measure compilation and speed too.
    """
    state = jax.eval_shape(game.init, jax.random.key(0))
    observation = jax.eval_shape(game.observe, state)
    lengths = np.array([len(line.actions) for line in played.lines] or [0])
    # What is not a number is a fault, told elsewhere; JSON knows no such thing.
    returns = np.nan_to_num(np.array(played.returns or [(0.0, 0.0)]))
    legal = np.array(played.legal or [0])
    finished = np.array(played.finished or [False])
    terminal = np.array(played.terminal or [False])
    state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    simulations, batch = SearchConfig().num_simulations, CPU_MATCHES
    tree_bytes = (simulations + 1) * batch * (_BYTES_PER_EDGE * game.num_actions + state_bytes)
    first_again = played.first_again
    measures: dict[str, Any] = {
        "state_bytes": state_bytes,
        "observation_shape": list(observation.shape),
        "observation_bytes": int(observation.size * observation.dtype.itemsize),
        "constant_bytes": constant_bytes(game),
        "num_actions": game.num_actions,
        "num_outcomes": game.num_outcomes if isinstance(game, ChanceGame) else 0,
        "max_plies": game.max_plies,
        "symmetries": len(list(game.symmetries())),
        "matches": len(played.lines),
        "positions": len(played.players) + explorer.positions,
        "distinct_starts": len(played.starts),
        "legal_actions": _distribution(legal),
        "match_plies": _distribution(lengths),
        "truncated_share": float(np.mean(finished & ~terminal)),
        "unfinished_share": float(np.mean(~finished & (lengths == lengths.max()))),
        "drawn_share": float(np.mean(returns[:, 0] == 0)),
        "first_player_score": float(np.mean((1 + np.sign(returns[:, 0])) / 2)),
        "moves_again_share": played.again[0] / played.again[1] if played.again[1] else 0.0,
        "moves_again_first": list(first_again.actions) if first_again else [],
        "only_mover": played.players[0] if len(set(played.players)) == 1 else None,
        "tree_bytes_per_device": tree_bytes,
        "tree_batch": batch,
        "tree_simulations": simulations,
    }
    if full:
        measures["fingerprint"] = fingerprint(game)
        measures["compile_seconds"] = _compile_seconds(game, singles)
        measures["plies_per_second"] = _plies_per_second(game)
        measures["speed_batch"] = _SPEED_BATCH
    return measures


def warnings_of(found: Mapping[str, Any], played: RandomMatches) -> list[Fault]:
    """Returns what is allowed, but will hurt training or is seldom meant."""
    texts: dict[str, str] = {}
    matches = found["matches"]
    if found["state_bytes"] > _LARGE_STATE:
        texts["state-size"] = (
            f"a state is {found['state_bytes']:,} bytes, and one is stored in every node of every "
            "search tree: leave out what can be computed"
        )
    if found["constant_bytes"] > _LARGE_CONSTANTS:
        texts["constants"] = (
            f"the methods hold {found['constant_bytes']:,} bytes of constants, which are compiled "
            "into every program: compute them, or make the tables smaller"
        )
    if found["unfinished_share"] > 0:
        texts["long-matches"] = (
            f"{_percent(found['unfinished_share'])} of the random matches went on after the plies "
            "that were tried: max_plies is high, and first matches of an untrained agent are "
            "about as long"
        )
    if found["truncated_share"] > 0.5:
        texts["cut-matches"] = (
            f"{_percent(found['truncated_share'])} of the random matches were ended by max_plies: "
            "an untrained agent learns little from those"
        )
    if found["drawn_share"] > 0.9 and matches >= 16:
        texts["drawn-matches"] = (
            f"{_percent(found['drawn_share'])} of the random matches were drawn: at first there is "
            "hardly a result to learn from"
        )
    if matches >= 16:
        texts |= _lopsided(played)
    if sum(found.get("compile_seconds", {}).values()) > _SLOW_COMPILE_SECONDS:
        texts["slow-compilation"] = (
            f"compiling the rules took {sum(found['compile_seconds'].values()):.0f} s, several "
            "times over in a training: if nothing else kept the machine busy, write loops as "
            "lax.fori_loop or array operations"
        )
    return [Fault(rule=rule, message=text) for rule, text in texts.items()]


def _lopsided(played: RandomMatches) -> dict[str, str]:
    """Returns what is odd about who wins."""
    signs = np.sign([first for first, _ in played.returns])
    movers = np.array(played.last_movers)
    decided = signs != 0
    texts: dict[str, str] = {}
    for player in range(2):
        if decided.sum() >= 16 and (signs[decided] == (1 if player == 1 else -1)).all():
            texts["one-never-wins"] = (
                f"player {player} won none of {decided.sum()} decided random matches: the game is "
                "lopsided, or returns has the wrong sign for one player"
            )
    ends = [np.mean(signs[decided & (movers == p)] == (1 if p == 0 else -1)) for p in range(2)
            if (decided & (movers == p)).sum() >= 8]  # fmt: skip
    if len(ends) == 2 and max(ends) == 0:
        texts["last-mover-loses"] = (
            "whoever makes the last move always loses: right if that is the aim of the game, "
            "else returns has the wrong sign"
        )
    return texts


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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
