"""Compares a fleet on Ray with the same processes started by hand, on the same cores.

    python benchmarks/ray_overhead.py connect_four --seconds 120 --rounds 3

Without arguments it runs a short measurement: tic-tac-toe, 30 seconds, one round. A trainer and a
worker with a core each run as tasks of a Ray cluster on this machine, then as plain processes with
the same options and environment, in turn, each time in a new run. The cluster is there only while
its fleet is. The rates are differences between two heartbeats of the trainer, after `--warm-up`
seconds; `ratio` is Ray's median rate over that of the plain processes. `start_seconds` is the time
from the command to the first update. A fleet of plain processes comes before all others and does
not count: what it compiles is there for them.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.decoupled import RATES, measure

KINDS = ("ray", "plain")
NAMES = [f"{name}_per_second" for name in RATES]
ENVIRON = {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
"""What every task on Ray with one core has."""


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """Yields the address of a Ray cluster of one node with two cores."""
    from ray.cluster_utils import Cluster

    found: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        yield found.address
    finally:
        found.shutdown()


def one_fleet(kind: str, game: list[str], warm_up: float, seconds: float) -> dict[str, Any]:
    """Returns the rates of one fleet.

    Args:
        kind: one of `KINDS`.
        game: the options of the commands that name game and settings.
        warm_up: seconds from the first update to the measurement.
        seconds: that it takes.
    """
    with contextlib.ExitStack() as stack:
        run = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run"
        if kind == "ray":
            address = stack.enter_context(cluster())
            fleet = ["--workers", "1", "--evaluators", "0", "--on", "ray", "--address", address]
            commands = [["launch", str(run), *game, *fleet]]
        else:
            one = ["--run", str(run), "--devices", "1"]
            commands = [["trainer", *game, *one], ["worker", *one]]
        begin = time.time()
        found = measure(commands, run, warm_up=warm_up, seconds=seconds)
    start_seconds = found["first_update_time"] - begin
    return {**{name: found[name] for name in NAMES}, "start_seconds": start_seconds}


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("game", nargs="?", default="tic_tac_toe")
    parser.add_argument("--preset", help="default, or quick for tic_tac_toe")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--warm-up", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    if importlib.util.find_spec("ray") is None:
        print("skipped: Ray is not installed")
        return
    os.environ.update(ENVIRON, RAY_USAGE_STATS_ENABLED="0")
    short = "quick" if arguments.game == "tic_tac_toe" else "default"
    game = ["--game", arguments.game, "--preset", arguments.preset or short]
    one_fleet("plain", game, 0.0, 10.0)
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for number in range(arguments.rounds):
        for kind in KINDS if number % 2 == 0 else reversed(KINDS):
            results[kind].append(one_fleet(kind, game, arguments.warm_up, arguments.seconds))
            print(kind, json.dumps(results[kind][-1]), file=sys.stderr, flush=True)
    medians = {
        kind: {name: statistics.median(one[name] for one in found) for name in found[0]}
        for kind, found in results.items()
    }
    ratios = {name: medians["ray"][name] / medians["plain"][name] for name in NAMES}
    print(json.dumps({**medians, "ratio": ratios}, indent=1))


if __name__ == "__main__":
    main()
