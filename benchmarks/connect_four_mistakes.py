"""Counts win/draw/loss mistakes of a Connect Four agent on positions with known values.

    python benchmarks/connect_four_mistakes.py [RUN[@UPDATE]:64 ...]
    python benchmarks/connect_four_mistakes.py --sets DIR RUN:0 RUN:100

Without arguments the agents are random moves and plain MCTS with 100 playouts.

A mistake is a move that turns a win into a draw or a loss, or a draw into a loss. The positions
were labelled by an exact solver, see `label_connect_four.py`. Prints one JSON object an agent.
`--sets` counts in the two sets of positions instead that `label_connect_four.py --sets DIR` writes,
in all of which something is at stake: choose settings by the first, report by the second.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

POSITIONS = Path(__file__).parent / "data" / "connect_four_positions.json"
PHASES = {"plies 0-11": range(12), "plies 12-23": range(12, 24), "plies 24-35": range(24, 36)}


def main(agents: list[str]) -> None:
    """Measures each agent."""
    from selfplay.startup import prepare

    prepare()
    import jax

    from benchmarks.common.agents import agent_and_game
    from selfplay.arena.batches import stack
    from selfplay.play import play_text
    from selfplay.registry import make

    rows = json.loads(POSITIONS.read_text())
    for name in agents:
        agent, game = agent_and_game(name, make("connect_four"))
        positions = stack(
            [play_text(game, " ".join(map(str, row["moves"]))).position for row in rows]
        )
        actions = agent.select(positions, key=jax.random.key(0))
        wrong = np.array(
            [int(action) not in row["good"] for action, row in zip(actions, rows, strict=True)]
        )
        print(json.dumps({"agent": agent.name, **summary(rows, wrong)}))


def main_of_sets(agents: list[str], directory: Path) -> None:
    """Measures each agent on the sets in a directory."""
    from selfplay.startup import prepare

    prepare()
    from benchmarks.common.agents import agent_and_game
    from benchmarks.paired_training.plan import SETS
    from benchmarks.paired_training.positions import read, rebuild, set_name
    from selfplay.arena import choose_moves
    from selfplay.registry import make

    for name in agents:
        agent, game = agent_and_game(name, make("connect_four"))
        found: dict[str, Any] = {"agent": agent.name}
        for which in SETS:
            solved = rebuild(game, read(directory / set_name(game, which), game))
            wrong = choose_moves(agent, solved).mistakes(solved)
            found[which] = {
                "positions": len(wrong),
                "mistakes_percent": round(100 * float(wrong.mean()), 2),
                "standard_error": round(100 * float(wrong.std(ddof=1)) / len(wrong) ** 0.5, 2),
            }
        print(json.dumps(found))


def summary(rows: list[dict[str, Any]], wrong: np.ndarray) -> dict[str, Any]:
    """Returns shares of mistakes, with standard errors, beside those of random moves."""
    by_chance = np.array([1 - len(row["good"]) / len(row["legal"]) for row in rows])
    kinds = np.array([row["kind"] for row in rows])
    plies = np.array([row["ply"] for row in rows])

    def part(chosen: np.ndarray) -> dict[str, float]:
        return {
            "positions": int(chosen.sum()),
            "mistakes_percent": round(100 * float(wrong[chosen].mean()), 2),
            "standard_error": round(
                100 * float(wrong[chosen].std(ddof=1)) / float(np.sqrt(chosen.sum())), 2
            ),
            "random_percent": round(100 * float(by_chance[chosen].mean()), 1),
        }

    return {
        "all": part(np.ones(len(rows), bool)),
        "at stake": part(by_chance > 0),
        **{kind: part(kinds == kind) for kind in ("random", "careful")},
        **{name: part(np.isin(plies, span)) for name, span in PHASES.items()},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("agents", nargs="*", metavar="AGENT", default=["random", "mcts:100"])
    parser.add_argument("--sets", type=Path, metavar="DIR", help="of label_connect_four.py --sets")
    given = parser.parse_args()
    if given.sets is None:
        main(given.agents)
    else:
        main_of_sets(given.agents, given.sets)
