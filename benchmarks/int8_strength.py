"""What int8 costs: a run's checkpoint in integers against itself in float32, equal simulations.

    python benchmarks/int8_strength.py RUN [SIMULATIONS] [MATCHES] [SEED]

Paired random openings, both seats each. The integer side is calibrated on positions of its own
searches, as in training. Prints one JSON object with the score of int8, its 95 % interval and the
same in Elo.
"""

import json
import math
import sys
from pathlib import Path


def main(path: str, simulations: str = "64", matches: str = "400", seed: str = "0") -> None:
    """Plays the match."""
    from selfplay.startup import prepare

    prepare()
    import jax

    from selfplay.arena import SearchAgent, load_weights, play_matches
    from selfplay.inference import make_inference
    from selfplay.networks import build
    from selfplay.run import RunDirectory

    run = RunDirectory.open(Path(path))
    game = run.make_game()
    network = build(game, run.config.network)
    weights = load_weights(run.checkpoints, run.checkpoints.latest(), network)
    search = run.config.search.for_matches(int(simulations))
    batch = int(matches) // 2
    agents = []
    agreement = None
    for kind in ("onnx-int8", "xla"):
        inference = make_inference(game, network, run.config.network, kind)
        params = inference.load(weights)
        agent = SearchAgent(kind, game, inference.evaluate, params, search, batch_size=batch)
        if kind == "onnx-int8":
            # Its own positions first; then with the ranges found there.
            play_matches(game, agent, agent, num_matches=20, seed=int(seed) + 1)
            agreement = inference.calibrate(params)
            if inference.ranges is None:
                sys.exit(f"int8 is too far off to be used: {agreement}")
            agent = agent.with_params(kind, inference.load(weights))
        agents.append(agent)
    jax.block_until_ready(weights)
    table = play_matches(game, *agents, num_matches=int(matches), seed=int(seed))
    low, high = table.interval.low, table.interval.high
    print(
        json.dumps(
            {
                **table.to_dict(),
                "simulations": int(simulations),
                "agreement": str(agreement),
                "elo": round(elo(table.score), 1),
                "elo_interval": [round(elo(low), 1), round(elo(high), 1)],
            }
        )
    )


def elo(score: float) -> float:
    """Returns the difference in rating that explains a score."""
    score = min(max(score, 1e-3), 1 - 1e-3)
    return -400 * math.log10(1 / score - 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
