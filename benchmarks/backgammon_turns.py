"""Measures how much an agent loses in a turn of backgammon, in the judgement of GNU Backgammon.

    python benchmarks/backgammon_turns.py [RUN[@UPDATE][:SIMULATIONS] ...] [--turns 600]

Train by `selfplay train backgammon --option gammons=false`. Without arguments random moves are
measured. Needs the package gnubg-nn, which is among the referees of the tests.

The turns begin in positions of matches in which GNU Backgammon plays four turns of five and random
moves are played in the others. An agent plays each turn to its end; what it loses is the share of
wins that it has less than after GNU Backgammon's own turn, by the evaluation of its network without
look-ahead ("0-ply"). A few hundred turns tell two agents apart that matches against a much stronger
opponent do not. Prints one JSON object an agent.
"""

import argparse
import functools
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

MATCHES = 64
TURNS_A_MATCH = 16
RANDOM_SHARE = 0.2
LONGEST_TURN = 4


class Turns:
    """Turns to play, and what GNU Backgammon makes of them.

    Attributes:
        states: where the turns begin, leaves [turns, ...].
        best: [turns] share of wins, in [0, 1], after GNU Backgammon's own turn, for the mover.
    """

    def __init__(self, game: Any, count: int, seed: int) -> None:
        import jax

        from benchmarks.backgammon_gnubg import GnubgAgent

        self._game = game
        self._gnubg = GnubgAgent(game)
        self._step = jax.jit(jax.vmap(game.step))
        self._legal = jax.jit(jax.vmap(game.legal_action_mask))
        self.states = self._drawn(count, seed)
        self.best = self.wins_after(self._gnubg.select)

    def wins_after(self, select: Any) -> np.ndarray:
        """Returns the mover's share of wins after the turns that `select` plays."""
        from benchmarks.backgammon_gnubg import opponent_wins

        after = self._played(self.states, select)
        movers = np.asarray(self.states.player)
        pairs = zip(after.points, after.bar, movers, strict=True)
        return np.array(
            [1 - opponent_wins(points, bar, int(mover)) for points, bar, mover in pairs]
        )

    def random_moves(self, positions: Any, *, key: Any) -> np.ndarray:
        """Returns one of the legal moves of each position."""
        import jax

        legal = np.asarray(self._legal(positions.state))
        chances = np.asarray(jax.random.uniform(key, legal.shape))
        return np.argmax(np.where(legal, chances, -1), axis=1).astype(np.int32)

    def _played(self, states: Any, select: Any) -> Any:
        """Returns afterstates: every turn is played until the dice are used up."""
        import jax
        import jax.numpy as jnp

        from selfplay.game import Position

        count = len(states.player)
        for ply in range(LONGEST_TURN):
            goes_on = (states.dice != 0).any(axis=1)
            if not goes_on.any():
                break
            positions: Any = Position(state=states, ply=jnp.full(count, ply))
            actions = np.maximum(select(positions, key=jax.random.key(ply)), 0).astype(np.int32)
            after = jax.device_get(self._step(states, actions))
            states = jax.tree.map(functools.partial(_where, goes_on), after, states)
        return states

    def _drawn(self, count: int, seed: int) -> Any:
        import jax

        draw = np.random.default_rng(seed)
        over = jax.jit(jax.vmap(self._game.is_terminal))
        roll = jax.jit(jax.vmap(self._game.resolve))
        likely = np.asarray(self._game.chance_probabilities(None), np.float64)
        matches = max(MATCHES, count // TURNS_A_MATCH)
        keys = jax.random.split(jax.random.key(seed), matches)
        states = jax.device_get(jax.jit(jax.vmap(self._game.init))(keys))
        seen, going = [], np.ones(matches, bool)
        while going.any():
            seen.append(jax.tree.map(lambda leaf, rows=going: leaf[rows], states))
            at_random = draw.random(matches) < RANDOM_SHARE
            by_gnubg = self._played(states, self._gnubg.select)
            states = jax.tree.map(
                functools.partial(_where, at_random),
                self._played(states, self.random_moves),
                by_gnubg,
            )
            going &= ~np.asarray(over(states))
            rolls = draw.choice(len(likely), matches, p=likely / likely.sum()).astype(np.int32)
            states = jax.device_get(roll(states, rolls))
        everything = jax.tree.map(lambda *leaves: np.concatenate(leaves), *seen)
        rows = draw.choice(len(everything.player), count, replace=False)
        return jax.tree.map(lambda leaf: leaf[rows], everything)


def _where(rows: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the leaves of `one` in these rows, else those of `other`."""
    return np.where(rows.reshape(-1, *[1] * (one.ndim - 1)), one, other)


def main(names: list[str], count: int, seed: int) -> None:
    """Measures each agent in the same turns."""
    if importlib.util.find_spec("gnubg_nn") is None:
        print("skipped: the package gnubg-nn is not installed")
        return
    from selfplay.startup import prepare

    prepare()

    from benchmarks.common.agents import agent_and_game
    from selfplay.registry import make

    game = make("backgammon", gammons=False)
    turns = Turns(game, count, seed)
    for name in names or ["random"]:
        select = turns.random_moves if name == "random" else agent_and_game(name, game)[0].select
        lost = 100 * (turns.best - turns.wins_after(select))
        print(
            json.dumps(
                {
                    "agent": name,
                    "turns": count,
                    "lost_percent": round(float(lost.mean()), 2),
                    "standard_error": round(float(lost.std() / count**0.5), 2),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("agents", nargs="*", help="RUN[@UPDATE][:SIMULATIONS] or random")
    parser.add_argument("--turns", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    main(arguments.agents, arguments.turns, arguments.seed)
