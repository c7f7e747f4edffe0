"""Plays one-point matches of backgammon against the network of GNU Backgammon, without look-ahead.

    python benchmarks/backgammon_gnubg.py [RUN[@UPDATE][:SIMULATIONS] ...] [--matches 1000]

Train by `selfplay train backgammon --option gammons=false`: a gammon counts no more than a win in a
one-point match. Without arguments random moves play. Needs the package gnubg-nn, which is among the
referees of the tests.

The opponent looks at every board that its turn can lead to and takes the one where its evaluation
("0-ply") gives the other side the fewest wins. Each start and its dice are played twice, with sides
changed. Prints one JSON object an agent: score and its 95 % interval, seen by the agent.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

CHUNK = 256


class GnubgAgent:
    """Plays the turn whose board GNU Backgammon's network likes best, by wins alone."""

    name = "gnubg 0-ply"

    def __init__(self, game: Any) -> None:
        import jax
        import jax.numpy as jnp

        def children(state: Any) -> tuple[Any, Any]:
            actions = jnp.arange(game.num_actions, dtype=jnp.int32)
            return jax.vmap(lambda action: game.step(state, action))(
                actions
            ), game.legal_action_mask(state)

        self._children = jax.jit(jax.vmap(children))

    def select(self, positions: Any, *, key: Any) -> np.ndarray:
        """Returns for each position the first move of the best turn; `key` is not used."""
        import jax

        leaves, structure = jax.tree.flatten(jax.device_get(positions.state))
        count = len(leaves[0])
        best: list[tuple[float, int]] = [(2.0, -1)] * count
        origins = np.arange(count)
        firsts = np.full(count, -1)
        while len(origins):
            leaves, origins, firsts = self._expanded(structure, leaves, origins, firsts)
            state = jax.tree.unflatten(structure, leaves)
            ended = (state.dice == 0).all(axis=1)
            for row in np.flatnonzero(ended):
                mover = int(positions.state.player[origins[row]])
                value = opponent_wins(state.points[row], state.bar[row], mover)
                best[origins[row]] = min(best[origins[row]], (value, int(firsts[row])))
            leaves = [leaf[~ended] for leaf in leaves]
            origins, firsts = origins[~ended], firsts[~ended]
        return np.array([action for _, action in best], np.int32)

    def _expanded(
        self, structure: Any, leaves: list[np.ndarray], origins: np.ndarray, firsts: np.ndarray
    ) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Returns what every legal move leads to; the same board of the same origin only once."""
        import jax

        parts: list[list[np.ndarray]] = []
        parents, moves = [], []
        for begin in range(0, len(origins), CHUNK):
            part = [leaf[begin : begin + CHUNK] for leaf in leaves]
            size = len(part[0])
            padded = [np.resize(leaf, (CHUNK, *leaf.shape[1:])) for leaf in part]
            found, legal = jax.device_get(self._children(jax.tree.unflatten(structure, padded)))
            keep = legal[:size]
            parts.append([leaf[:size][keep] for leaf in jax.tree.leaves(found)])
            rows, actions = np.nonzero(keep)
            parents.append(rows + begin)
            moves.append(actions)
        rows, actions = np.concatenate(parents), np.concatenate(moves)
        firsts = np.where(firsts[rows] < 0, actions, firsts[rows])
        leaves = [np.concatenate(column) for column in zip(*parts, strict=True)]
        origins = origins[rows]
        keys = np.concatenate(
            [origins[:, None], *(leaf.reshape(len(leaf), -1) for leaf in leaves)], axis=1
        )
        _, kept = np.unique(keys, axis=0, return_index=True)
        return [leaf[kept] for leaf in leaves], origins[kept], firsts[kept]


def opponent_wins(points: np.ndarray, bar: np.ndarray, mover: int) -> float:
    """Returns how often the opponent of `mover`, who is to roll, wins, from 0 to 1."""
    import gnubg_nn

    seen = points if mover == 0 else -points[::-1]
    if (seen <= 0).all() and bar[mover] == 0:
        return 0.0
    own = [*(max(int(count), 0) for count in seen), int(bar[mover])]
    other = [*(max(-int(count), 0) for count in seen[::-1]), int(bar[1 - mover])]
    return float(gnubg_nn.probabilities((own, other), 0)[0])


def main(names: list[str], matches: int, seed: int) -> None:
    """Plays the matches of each agent."""
    if importlib.util.find_spec("gnubg_nn") is None:
        print("skipped: the package gnubg-nn is not installed")
        return
    from selfplay.startup import prepare

    prepare()

    from benchmarks.common.agents import agent_and_game
    from selfplay.arena import play_matches
    from selfplay.registry import make

    for name in names:
        agent, game = agent_and_game(name, make("backgammon", gammons=False))
        table = play_matches(game, agent, GnubgAgent(game), num_matches=matches, seed=seed)
        low, high = table.interval
        print(
            json.dumps(
                {
                    "agent": agent.name,
                    "matches": matches,
                    "score_percent": round(100 * table.score, 1),
                    "interval_percent": [round(100 * low, 1), round(100 * high, 1)],
                    "unfinished": table.truncated,
                }
            )
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("agents", nargs="*", help="RUN[@UPDATE][:SIMULATIONS], random or mcts:N")
    parser.add_argument("--matches", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    main(arguments.agents or ["random"], arguments.matches, arguments.seed)
