"""Self-play on an accelerator: simulations against the network's ceiling and the pgx way.

    python benchmarks/gpu.py [--game connect_four] [--blocks 6] [--channels 64]
        [--batches 256 1024 4096] [--seconds 20] [--updates 128 1024 4096] [--profile]
        [--trees mctx compact]

32 simulations, bf16; --game is a bundled game that pgx has under the same name. For each number of
matches on one device, in turns in one process: simulations per second of self-play with each tree,
positions per second of the network alone in batches as large (the ceiling), their ratio, and the
pgx way: pgx's game, its state as embedding, mctx and a network of the same shape. --updates also
times training: updates per second by the number of positions in a batch, with the drawing of
samples. --profile says where a chunk's time goes: the share of the wall time in which the device
computes, and the kernels that take most of it. Without an accelerator nothing is timed: what the
compiled chunk is made of is printed instead, as compiled for this CPU, and what it would call on
CUDA. Each batch is printed to stderr when it is measured; at the end, one JSON object.
"""

import argparse
import collections
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIMULATIONS = 32
PLIES = 8


def main() -> None:
    """Measures, or inspects where there is nothing to measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--game", default="connect_four")
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--seconds", type=float, default=20.0, help="for each batch")
    parser.add_argument("--updates", type=int, nargs="+", default=[])
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--trees", nargs="+", default=["auto"], help="of search.tree")
    arguments = parser.parse_args()

    from selfplay.startup import prepare

    prepare()
    import jax

    document: dict[str, Any] = {
        "device": jax.local_devices()[0].device_kind,
        "network": f"{arguments.blocks}x{arguments.channels} bfloat16",
        "simulations": SIMULATIONS,
    }
    on_cpu = jax.default_backend() == "cpu"
    document["batches"] = {}
    for batch in arguments.batches:
        by_tree = {tree: parts_for(arguments, batch, tree=tree) for tree in arguments.trees}
        if on_cpu:
            found = {tree: inspect(components) for tree, components in by_tree.items()}
        else:
            found = measure(arguments.game, by_tree, arguments.seconds)
            if arguments.profile:
                found["profile"] = {tree: profile(parts) for tree, parts in by_tree.items()}
        print(json.dumps({batch: found}), file=sys.stderr, flush=True)
        document["batches"][batch] = found
    if arguments.updates and not on_cpu:
        document["updates"] = updates(arguments)
        print(json.dumps(document["updates"]), file=sys.stderr, flush=True)
    print(json.dumps(document, indent=1))


def parts_for(
    arguments: argparse.Namespace, batch: int, learner_batch: int = 128, tree: str = "auto"
) -> Any:
    """Returns components for so many matches and samples of an update, on one device."""
    import jax
    from jax.sharding import Mesh

    from selfplay.parallel import AXIS
    from selfplay.registry import make
    from selfplay.runtime.components import make_components
    from selfplay.settings import Config

    config = Config.from_dict(
        {
            "network": {
                "blocks": arguments.blocks,
                "channels": arguments.channels,
                "dtype": "bfloat16",
            },
            "search": {"num_simulations": SIMULATIONS, "inference": "xla", "tree": tree},
            "learner": {"batch_size": learner_batch},
            "rollout": {"matches_per_device": batch, "plies_per_chunk": PLIES},
        }
    )
    return make_components(
        make(arguments.game), config, mesh=Mesh(jax.local_devices()[:1], (AXIS,))
    )


def inspect(components: Any) -> dict[str, Any]:
    """Returns what the compiled chunk is made of, beside the network alone; times nothing."""
    import dataclasses

    from compiled_program import custom_calls, forward_cost, inspect_self_play

    program, forward = inspect_self_play(components), forward_cost(components)
    return {
        **dataclasses.asdict(program),
        # A root and a simulation: two evaluations.
        "flops_of_two_forwards": 2 * forward["flops"],
        "bytes_of_two_forwards": 2 * forward["bytes accessed"],
        "cuda_custom_calls": custom_calls(components, "cuda"),
    }


def measure(game: str, by_tree: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Returns rates, medians of rounds in which all ways take turns; self-play's by its tree."""
    import inference
    import jax
    import jax.numpy as jnp

    from selfplay.runtime.playing import Chunks

    # The constants of the pgx way are those of this page.
    inference.SIMULATIONS, inference.PLIES = SIMULATIONS, PLIES
    components = next(iter(by_tree.values()))
    batch = components.player.num_matches
    weights = components.learner.place(components.network.init(key=jax.random.key(0)))
    observations = jnp.full((batch, *components.network.observation_shape), 0.5, jnp.float32)

    @jax.jit
    def forward(weights: Any, observations: Any) -> Any:
        prediction = components.network.apply(weights, observations)
        return prediction.policy_logits, prediction.value

    pgx = inference.PgxWay(game, components.config.network, components.mesh, batch)

    def self_play(components: Any) -> Callable[[], int]:
        chunks = Chunks(components, start_key=jax.random.key(1), play_key=jax.random.key(2))
        return lambda: int(chunks.play(weights).actions.size) * SIMULATIONS

    def alone() -> int:
        answers = [forward(weights, observations) for _ in range(SIMULATIONS)]
        jax.block_until_ready(answers)
        return SIMULATIONS * batch

    ways: dict[str, Callable[[], int]] = {
        **{tree: self_play(parts) for tree, parts in by_tree.items()},
        "forwards_per_second": alone,
        "pgx_simulations_per_second": lambda: pgx.chunk() * SIMULATIONS,
    }
    for way in ways.values():
        for _ in range(3):
            way()
    rounds: list[dict[str, float]] = []
    end = time.monotonic() + seconds
    while len(rounds) < 3 or time.monotonic() < end:
        rounds.append({})
        for name, way in ways.items():
            begin, count = time.monotonic(), 0
            while (passed := time.monotonic() - begin) < 0.5:
                count += way()
            rounds[-1][name] = count / passed
    median = {name: round(statistics.median(one[name] for one in rounds)) for name in ways}
    found: dict[str, Any] = {
        tree: {
            "simulations_per_second": median.pop(tree),
            "ratio": ratio(rounds, tree, "forwards_per_second"),
            "times_pgx": ratio(rounds, tree, "pgx_simulations_per_second"),
        }
        for tree in by_tree
    }
    return {**found, **median, "rounds": len(rounds)}


def updates(arguments: argparse.Namespace) -> dict[int, dict[str, int]]:
    """Returns, by the positions in a batch, updates and positions learnt per second."""
    from selfplay.reports.bench import MeasuredUpdates
    from selfplay.reports.bench_play import MeasuredPlay, bench_weights

    batch = arguments.batches[0]
    components = parts_for(arguments, batch)
    records = MeasuredPlay(components, bench_weights(components, None)).records
    found = {}
    for size in arguments.updates:
        components = parts_for(arguments, batch, size)
        measured = MeasuredUpdates(components, records)
        rate = statistics.median(measured.rate(arguments.seconds / 5) for _ in range(3))
        found[size] = {
            "updates_per_second": round(rate),
            "positions_per_second": round(rate * size),
        }
    return found


def profile(components: Any, chunks: int = 3) -> dict[str, Any]:
    """Returns where the time of some chunks goes, as the profiler of JAX saw the device.

    `busy` is the share of the wall time in which at least one kernel ran; `kernels_per_ply` counts
    them; `milliseconds_per_ply` maps kernels, by name without numbers, to their time, the 25
    longest.
    """
    import jax

    from selfplay.runtime.playing import Chunks

    weights = components.learner.place(components.network.init(key=jax.random.key(0)))
    player = Chunks(components, start_key=jax.random.key(1), play_key=jax.random.key(2))
    for _ in range(3):
        player.play(weights)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        with jax.profiler.trace(folder):
            for _ in range(chunks):
                player.play(weights)
            wall = time.perf_counter() - begin
        [file] = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(file))
    spans: list[tuple[float, float]] = []
    times: collections.Counter[str] = collections.Counter()
    for plane in data.planes:
        if not plane.name.startswith("/device:GPU"):
            continue
        for line in plane.lines:
            if not line.name.startswith("Stream"):
                continue
            for event in line.events:
                times[re.sub(r"[._]?\d+", "", event.name)] += event.duration_ns
                spans.append((event.start_ns, event.start_ns + event.duration_ns))
    busy, end = 0.0, 0.0
    for start, stop in sorted(spans):
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    plies = chunks * PLIES
    return {
        "busy": round(busy / 1e9 / wall, 3),
        "milliseconds_of_a_ply": round(1e3 * wall / plies, 3),
        "kernels_per_ply": round(len(spans) / plies),
        "milliseconds_per_ply": {
            name: round(time_ns / 1e6 / plies, 4) for name, time_ns in times.most_common(25)
        },
    }


def ratio(rounds: list[dict[str, float]], way: str, other: str) -> float:
    """Returns the median of a way divided by another one in the same round."""
    return round(statistics.median(one[way] / one[other] for one in rounds), 3)


if __name__ == "__main__":
    main()
