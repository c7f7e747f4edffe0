"""What int8 costs, and what its speed buys: a run's checkpoint in integers against float32.

    python benchmarks/int8_strength.py [RUN] [--simulations 64] [--int8-simulations N]
        [--matches 400] [--margin 15] [--seed 0]

Paired random openings, both seats each, in rounds of 200 matches. With equal simulations (the
default) a sequential test goes with them: a loss of --margin Elo against none, 5 % error; it ends
the match when it is decided. The integer side is calibrated on positions of its own searches, as in
training. Without RUN a Connect Four run is trained for half a minute; without arguments 200 matches
with 16 simulations are played. Prints one JSON object with the score of int8, its 95 % interval and
the same in Elo.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROUND = 200
SHORT = ("--matches", "200", "--simulations", "16")
"""The arguments where none are given."""


def main() -> None:
    """Plays until the test is decided or the matches are used up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--simulations", type=int, default=64)
    parser.add_argument("--int8-simulations", type=int, default=0)
    parser.add_argument("--matches", type=int, default=400)
    parser.add_argument("--margin", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(sys.argv[1:] or SHORT)
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: {' and '.join(missing)} is not installed")
        return
    if arguments.run is not None:
        measure(arguments.run, arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "selfplay", "train", "connect_four", "--minutes", "0.5"]
        subprocess.run([*command, "--run", str(run)], check=True, stdout=subprocess.DEVNULL)
        measure(run, arguments)


def measure(run: Path, arguments: argparse.Namespace) -> None:
    """Plays the matches of one run and prints what came of them."""
    from selfplay.startup import prepare

    prepare()
    from selfplay.arena import elo_from_score, play_matches, score_interval, sequential_test

    simulations = arguments.simulations
    int8_simulations = arguments.int8_simulations or simulations
    game, agents, agreement = _agents(run, int8_simulations, simulations, arguments.seed)
    pairs: list[float] = []
    lines: set[tuple[Any, ...]] = set()
    test = None
    while 2 * len(pairs) < arguments.matches and (test is None or test.verdict == "open"):
        seed = arguments.seed + 1000 + len(pairs)
        table = play_matches(game, *agents, num_matches=ROUND, seed=seed)
        pairs += table.pair_scores
        lines |= {(match.seat, match.actions) for match in table.matches}
        score = sum(pairs) / len(pairs)
        if int8_simulations == simulations:
            test = sequential_test(pairs, elo0=-arguments.margin, elo1=0)
        print(f"{2 * len(pairs)} matches: {score:.3f} {test}", file=sys.stderr, flush=True)
    interval = score_interval(pairs, distinct_pairs=len(lines) // 2)
    print(
        json.dumps(
            {
                "simulations": {"onnx-int8": int8_simulations, "float32": simulations},
                "matches": 2 * len(pairs),
                "distinct_matches": len(lines),
                "score": score,
                "interval": list(interval),
                "elo": round(elo_from_score(score), 1),
                "elo_interval": [round(elo_from_score(bound), 1) for bound in interval],
                "sequential_test": None if test is None else test._asdict(),
                "agreement": str(agreement),
            },
            indent=1,
        )
    )


def _agents(path: Path, int8_simulations: int, simulations: int, seed: int) -> tuple[Any, ...]:
    """Returns the game, both agents and how well the integers agree with float32."""
    from selfplay.arena import SearchAgent, load_weights, play_matches
    from selfplay.inference import make_inference
    from selfplay.networks import build_network
    from selfplay.run import RunDirectory

    run = RunDirectory.open(path)
    game = run.make_game()
    network = build_network(game, run.config.network)
    weights = load_weights(run.checkpoints, run.checkpoints.latest() or 0, network)

    def agent(kind: str, count: int) -> tuple[Any, Any, Any]:
        inference = make_inference(game, network, run.config.network, kind)
        params = inference.load(weights)
        search = run.config.search.for_matches(count)
        made = SearchAgent(kind, game, inference.evaluate, params, search, batch_size=ROUND // 2)
        return made, inference, params

    integers, inference, params = agent("onnx-int8", int8_simulations)
    # Its own positions first; then with the ranges found there.
    play_matches(game, integers, integers, num_matches=20, seed=seed + 1)
    agreement = inference.calibrate(params)
    if inference.ranges is None:
        sys.exit(f"int8 is too far off to be used: {agreement}")
    integers = integers.with_params("onnx-int8", inference.load(weights))
    return game, (integers, agent("xla", simulations)[0]), agreement


if __name__ == "__main__":
    main()
