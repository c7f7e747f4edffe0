"""Proven results in the search: what they cost, and what they bring.

    python benchmarks/proven_search.py costs [GAME ...] [--batch 64] [--simulations 32]
    python benchmarks/proven_search.py strength RUN [--simulations 16,64] [--matches 200]

`costs` times searches without a network, so that only the rules and the tree cost anything: plain
ones of mctx, the same in a compact tree, and with `search.proven`. They alternate in one process.
Prints one JSON object a game: microseconds a simulation and position, ratios to mctx, bytes of one
tree.

`strength` takes a Connect Four run: mistakes on the positions of `connect_four_mistakes.py`, and
paired matches of each kind of proven search against the plain one, with equal simulations, the
network in XLA. Prints one JSON object a number of simulations.
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

GAMES = ("connect_four", "othello", "breakthrough", "gomoku", "go")
OPTIONS: dict[str, dict[str, Any]] = {"go": {"size": 9}, "gomoku": {"size": 9}}
REPETITIONS = 7


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part")
    costs = parts.add_parser("costs")
    costs.add_argument("games", nargs="*")
    costs.add_argument("--batch", type=int, default=64)
    costs.add_argument("--simulations", type=int, default=32)
    costs.add_argument("--kinds", nargs="+", help="of search; mctx is measured in any case")
    strength = parts.add_parser("strength")
    strength.add_argument("run", type=Path, nargs="?")
    strength.add_argument("--simulations", default="16,64")
    strength.add_argument("--matches", type=int, default=200)
    strength.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.part == "strength" and arguments.run is None:
        parser.error("strength needs a run")
    from selfplay.startup import prepare

    prepare()
    if arguments.part == "strength":
        for count in map(int, arguments.simulations.split(",")):
            print(json.dumps(measure_strength(arguments, count)), flush=True)
        return
    # Without arguments one game, in short.
    games = getattr(arguments, "games", ["connect_four"]) or GAMES
    batch, simulations = getattr(arguments, "batch", 16), getattr(arguments, "simulations", 16)
    for name in games:
        only = getattr(arguments, "kinds", None)
        print(json.dumps(measure_costs(name, batch, simulations, only)), flush=True)


def measure_costs(
    name: str, batch: int, simulations: int, only: list[str] | None = None
) -> dict[str, Any]:
    """Returns what searches of one game cost; beside mctx those of `only`, None for all."""
    import jax

    from selfplay.mcts import search, uniform_evaluator
    from selfplay.registry import make
    from selfplay.runtime.memory_plan import compact_tree_bytes, tree_bytes
    from selfplay.settings.sections import SearchConfig

    game = make(name, **OPTIONS.get(name, {}))
    positions = _middle_positions(game, batch)
    plain = SearchConfig(num_simulations=simulations).for_matches()
    few = min(32, game.num_actions)
    kinds = {
        "mctx": dataclasses.replace(plain, tree="mctx"),
        "compact": plain,
        f"compact-{few}": dataclasses.replace(plain, max_children=few),
        "visited": dataclasses.replace(plain, proven="visited"),
        "one-ply": dataclasses.replace(plain, proven="one-ply"),
    }

    kinds = {kind: one for kind, one in kinds.items() if only is None or kind in (*only, "mctx")}

    def compiled(config: SearchConfig) -> Callable[[Any], Any]:
        evaluate = uniform_evaluator(game)
        return jax.jit(lambda key: search(game, evaluate, (), positions, config, key=key))

    runs = {kind: compiled(config) for kind, config in kinds.items()}
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for repetition in range(REPETITIONS + 1):
        for kind, run in runs.items():
            begin = time.perf_counter()
            found = jax.block_until_ready(run(jax.random.key(repetition)))
            # A proven search ends early; all are divided by the simulations that one has at most.
            seconds[kind].append(time.perf_counter() - begin)
            assert found.visits.shape == (batch, game.num_actions)
    state = sum(
        leaf.size * leaf.dtype.itemsize // batch for leaf in jax.tree.leaves(positions.state)
    )
    actions = game.num_actions
    return {
        "game": game.name,
        "actions": actions,
        "batch": batch,
        "simulations": simulations,
        "microseconds": {
            kind: round(1e6 * statistics.median(times[1:]) / (batch * simulations), 2)
            for kind, times in seconds.items()
        },
        "ratio": {
            kind: round(
                statistics.median(
                    mine / plain for mine, plain in zip(times[1:], seconds["mctx"][1:], strict=True)
                ),
                3,
            )
            for kind, times in seconds.items()
        },
        "tree_bytes": {
            "mctx": tree_bytes(actions, simulations, state),
            "compact": compact_tree_bytes(actions, simulations, state),
            f"compact-{few}": compact_tree_bytes(actions, simulations, state, few),
        },
    }


def _middle_positions(game: Any, batch: int) -> Any:
    """Returns positions that random moves lead to, a third of the longest match from the start."""
    import jax

    from selfplay.game import is_over, random_ply, start

    def play(key: Any) -> Any:
        begin_key, *move_keys = jax.random.split(key, 1 + max(1, min(game.max_plies // 3, 40)))
        position = start(game, begin_key)
        for move_key in move_keys:
            after = random_ply(game, position, key=move_key).position
            over = is_over(game, after)
            position = jax.tree.map(
                lambda old, new, over=over: jax.numpy.where(over, old, new), position, after
            )
        return position

    return jax.jit(jax.vmap(play))(jax.random.split(jax.random.key(0), batch))


def measure_strength(arguments: argparse.Namespace, simulations: int) -> dict[str, Any]:
    """Returns mistakes and match results of one number of simulations."""
    import jax

    from selfplay.arena import elo_from_score, play_matches
    from selfplay.arena.batches import stack
    from selfplay.play import play_text

    game, make_agent = _agents(arguments.run)
    file = Path(__file__).parent / "data" / "connect_four_positions.json"
    rows = json.loads(file.read_text())
    positions = stack([play_text(game, " ".join(map(str, row["moves"]))).position for row in rows])
    agents = {kind: make_agent(kind, simulations) for kind in ("off", "visited", "one-ply")}
    report: dict[str, Any] = {"run": str(arguments.run), "simulations": simulations}
    for kind, agent in agents.items():
        analyses = agent.analyse(positions, key=jax.random.key(0))
        wrong = np.array(
            [found.action not in row["good"] for found, row in zip(analyses, rows, strict=True)]
        )
        plies = np.array([row["ply"] for row in rows])
        proven = np.array([found.proven for found in analyses])
        values = np.array([row["value"] for row in rows])
        begin = time.perf_counter()
        agent.select(positions, key=jax.random.key(1))
        report[kind] = {
            "mistakes_percent": round(100 * wrong.mean(), 2),
            "standard_error": round(100 * float(wrong.std(ddof=1) / len(wrong) ** 0.5), 2),
            "by_phase": [
                round(100 * float(wrong[(plies >= low) & (plies < low + 12)].mean()), 2)
                for low in (0, 12, 24)
            ],
            "proven_percent": round(100 * proven.mean(), 1),
            "proven_wrong": int(
                sum(
                    found.value != value
                    for found, value in zip(analyses, values, strict=True)
                    if found.proven
                )
            ),
            "mean_error_of_value": round(
                float(np.mean(np.abs([found.value for found in analyses] - values))), 3
            ),
            "seconds": round(time.perf_counter() - begin, 2),
        }
    for kind in ("visited", "one-ply"):
        table = play_matches(
            game,
            agents[kind],
            agents["off"],
            num_matches=arguments.matches,
            seed=arguments.seed + 1,
        )
        low, high = table.interval
        report[kind] |= {
            "matches": len(table.matches),
            "score_against_off": round(table.score, 3),
            "interval": [round(low, 3), round(high, 3)],
            "elo": round(elo_from_score(table.score), 1),
        }
    return report


def _agents(path: Path) -> tuple[Any, Callable[[str, int], Any]]:
    """Returns the game of a run and what makes agents of its newest checkpoint."""
    from selfplay.arena import SearchAgent, load_weights
    from selfplay.inference import make_inference
    from selfplay.networks import build_network
    from selfplay.run import RunDirectory

    run = RunDirectory.open(path)
    game = run.make_game()
    network = build_network(game, run.config.network)
    weights = load_weights(run.checkpoints, run.checkpoints.latest() or 0, network)
    inference = make_inference(game, network, run.config.network, "xla")
    params = inference.load(weights)

    def agent(proven: str, simulations: int) -> Any:
        search = dataclasses.replace(run.config.search.for_matches(simulations), proven=proven)
        return SearchAgent(proven, game, inference.evaluate, params, search, batch_size=100)

    return game, agent


if __name__ == "__main__":
    main()
