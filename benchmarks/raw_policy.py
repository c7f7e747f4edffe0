"""Matches per second of the raw network beside those of a search.

    python benchmarks/raw_policy.py connect_four othello --simulations 800 0 --matches 32

Each number of simulations plays paired matches of an agent against itself through
`selfplay.arena.play_matches`, as `selfplay arena` does, from random openings. The first call
compiles and is not counted. With 0 simulations nothing is searched: one evaluation of the network
a move. Weights are fresh unless a run is named; the speed does not depend on them, but for the
length of the matches, which is shown. Prints a table, and with --json one document.
"""

import argparse
import json
import sys
import time
from typing import Any


def main(
    games: list[str],
    simulations: list[int],
    matches: int,
    repeats: int,
    run: str | None,
    as_json: bool,
) -> None:
    """Measures and prints."""
    from selfplay.startup import prepare

    prepare()
    import jax

    rows = [
        measure(game, number, matches, repeats, run) for game in games for number in simulations
    ]
    for row in rows:
        slowest = next(one for one in rows if one["game"] == row["game"])
        row["times"] = row["matches_per_second"] / slowest["matches_per_second"]
    device = jax.devices()[0]
    document = {"device": f"{len(jax.devices())} x {device.device_kind}", "rows": rows}
    if as_json:
        print(json.dumps(document, indent=1))
        return
    print(document["device"])
    print("| game | simulations | matches | plies a match | matches per second | times |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(
            f"| {row['game']} | {row['simulations']} | {row['matches']} | "
            f"{row['plies']:.1f} | {row['matches_per_second']:.3g} | {row['times']:.3g} |"
        )


def measure(
    name: str, simulations: int, num_matches: int, repeats: int, run: str | None
) -> dict[str, Any]:
    """Returns what one number of simulations plays; the best of the repeats."""
    from selfplay.arena import load_run_agent, play_matches
    from selfplay.registry import make

    if run is not None:
        agent = load_run_agent(f"{run}:{simulations}", batch_size=num_matches // 2)
        game = agent.game
    else:
        game = make(name)
        agent = fresh_agent(game, simulations, num_matches // 2)
    play_matches(game, agent, agent, num_matches=num_matches, opening_plies=game.max_plies // 2)
    best: dict[str, Any] = {}
    for seed in range(repeats):
        begin = time.perf_counter()
        table = play_matches(game, agent, agent, num_matches=num_matches, seed=seed)
        rate = num_matches / (time.perf_counter() - begin)
        if rate > best.get("matches_per_second", 0.0):
            best = {"matches_per_second": rate, "plies": table.mean_plies}
    print(f"{game.name}, {simulations} simulations: {best}", file=sys.stderr, flush=True)
    return {"game": game.name, "simulations": simulations, "matches": num_matches, **best}


def fresh_agent(game: Any, simulations: int, batch_size: int) -> Any:
    """Returns an agent with the default settings and weights that nothing was learnt with."""
    import jax

    from selfplay.arena import SearchAgent
    from selfplay.inference import make_inference
    from selfplay.networks import build_network
    from selfplay.settings import Config

    config = Config.from_dict({})
    network = build_network(game, config.network)
    computed = make_inference(game, network, config.network, "auto", calibrates=False)
    return SearchAgent(
        f"fresh:{simulations}",
        game,
        computed.evaluate,
        computed.load(network.init(key=jax.random.key(0))),
        config.search.for_matches(simulations),
        batch_size=batch_size,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("games", nargs="*", default=["tic_tac_toe"])
    parser.add_argument("--simulations", nargs="+", type=int, default=[50, 0])
    parser.add_argument("--matches", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--run")
    parser.add_argument("--json", dest="as_json", action="store_true")
    main(**vars(parser.parse_args()))
