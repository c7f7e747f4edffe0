"""Measures how fast the rules of every bundled game are, and how large its state is.

    python benchmarks/rules.py [GAME ...]

"all" stands for every bundled game; without arguments it is connect_four.

Random matches are played by one compiled function: 32 plies of a batch of matches at once. A ply
is what a search does at a node: a step, and of the position reached the result, the observation
and the legal actions. Where pgx has the game, it plays the same number of plies the same way, in
turn with ours: its step makes all of that at once. A match that ends stays as it is, in both.

Prints one JSON object per game and batch, then a table. Rates are plies per second of wall-clock
time, the best of several runs taken in turn, so that whatever else the machine does meets both;
compare ratios, not rates, on a busy one.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

try:
    import pgx
except ImportError:
    pgx = None

from selfplay.game import Game, advance, draw_outcome, start
from selfplay.registry import game_names, make

_BATCHES = (1, 64, 1024)
_PLIES = 32
# At most so many runs each, and after two of them none is begun later than this.
_RUNS, _SECONDS = 10, 5.0
# What the same game is called in pgx.
_PGX = {
    "backgammon": "backgammon",
    "connect_four": "connect_four",
    "go_9x9": "go_9x9",
    "go_19x19": "go_19x19",
    "hex": "hex",
    "othello": "othello",
    "tic_tac_toe": "tic_tac_toe",
}
# Plays some plies of a batch: the positions, and a key for each ply.
Play = Callable[[Any, jax.Array], Any]


def main(names: list[str]) -> None:
    """Measures and prints."""
    rows = []
    for name in names:
        for batch in _BATCHES:
            row = measure(name, batch)
            rows.append(row)
            print(json.dumps(row), flush=True)
    print("\n| game | batch | plies per second | pgx | ratio | state bytes | pgx | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join("" if cell is None else str(cell) for cell in row.values()) + " |")


def measure(name: str, batch: int) -> dict[str, object]:
    """Returns the row of one game at one batch; what pgx does not have is None."""
    ours, our_bytes = own_matches(make(name), batch)
    theirs, their_bytes = pgx_matches(_PGX[name], batch) if name in _PGX else (None, None)
    best: dict[str, float] = {}
    begun = time.perf_counter()
    for number in range(_RUNS):
        if number >= 2 and time.perf_counter() - begun > _SECONDS:
            break
        for who, play in (("ours", ours), ("theirs", theirs)):
            if play is not None:
                key = jax.random.key(number + 1)
                begin = time.perf_counter()
                jax.block_until_ready(play(key))
                seconds = time.perf_counter() - begin
                best[who] = max(best.get(who, 0.0), _PLIES * batch / seconds)
    return {
        "game": name,
        "batch": batch,
        "plies_per_second": round(best["ours"]),
        "pgx_plies_per_second": round(best["theirs"]) if "theirs" in best else None,
        "rate_ratio": round(best["ours"] / best["theirs"], 2) if "theirs" in best else None,
        "state_bytes": our_bytes,
        "pgx_state_bytes": their_bytes,
        "bytes_ratio": round(our_bytes / their_bytes, 3) if their_bytes else None,
    }


def own_matches(game: Game[Any], batch: int) -> tuple[Callable[[jax.Array], Any], int]:
    """Returns what plays on from positions some plies into a match, warm; and a state's bytes."""

    def ply(node: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        position, legal = node
        action_key, chance_key = jax.random.split(key)
        action = _random_action(legal, action_key)
        outcome = draw_outcome(game, position, action, key=chance_key)
        moved = advance(game, position, action, outcome)
        # The sum keeps the compiler from leaving the observation out.
        state = moved.position.state
        seen = game.observe(state).sum() + moved.reward
        return (moved.position, game.legal_action_mask(state)), seen

    def begin(key: jax.Array) -> Any:
        position = start(game, key)
        return position, game.legal_action_mask(position.state)

    first = jax.jit(jax.vmap(begin))(jax.random.split(jax.random.key(0), batch))
    leaves = jax.tree.leaves(jax.eval_shape(game.init, jax.random.key(0)))
    return _warm(ply, first, batch), sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def pgx_matches(name: str, batch: int) -> tuple[Callable[[jax.Array], Any], int]:
    """Returns the same for pgx's game of that name."""
    environment: Any = pgx.make(name)

    def ply(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        action_key, step_key = jax.random.split(key)
        action = _random_action(state.legal_action_mask, action_key)
        state = environment.step(state, action, step_key)
        return state, state.observation.sum() + state.rewards[0]

    first = jax.jit(jax.vmap(environment.init))(jax.random.split(jax.random.key(0), batch))
    leaves = jax.tree.leaves(jax.eval_shape(environment.init, jax.random.key(0)))
    return _warm(ply, first, batch), sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def _warm(ply: Callable[[Any, jax.Array], Any], first: Any, batch: int) -> Callable[..., Any]:
    def plies(states: Any, key: jax.Array) -> Any:
        def body(states: Any, key: jax.Array) -> Any:
            return jax.vmap(ply)(states, jax.random.split(key, batch))

        return jax.lax.scan(body, states, jax.random.split(key, _PLIES))

    compiled = jax.jit(plies)
    states, _ = jax.block_until_ready(compiled(first, jax.random.key(0)))
    return lambda key: compiled(states, key)


def _random_action(mask: jax.Array, key: jax.Array) -> jax.Array:
    noise = jax.random.uniform(key, mask.shape)
    return jnp.argmax(jnp.where(mask, noise, -1.0)).astype(jnp.int32)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("games", nargs="*", metavar="GAME", default=["connect_four"])
    asked = parser.parse_args().games
    if pgx is None:
        print("skipped: pgx is not installed")
    else:
        main(list(game_names()) if asked == ["all"] else asked)
