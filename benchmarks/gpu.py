"""Self-play on an accelerator: simulations against the network's ceiling and the pgx way.

    python benchmarks/gpu.py [--blocks 6] [--channels 64] [--batches 256 1024 4096] [--seconds 20]

Connect Four, 32 simulations, bf16. For each number of matches on one device, in turns in one
process: simulations per second of self-play, positions per second of the network alone in batches
as large (the ceiling), their ratio, and the pgx way: pgx's game, its state as embedding, mctx and
a network of the same shape. Without an accelerator nothing is timed: what the compiled chunk is
made of is printed instead, as compiled for this CPU, and what it would call on CUDA. Prints one
JSON object.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

SIMULATIONS = 32
PLIES = 8


def main() -> None:
    """Measures, or inspects where there is nothing to measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--seconds", type=float, default=20.0, help="for each batch")
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
    look = inspect if on_cpu else measure
    document["batches"] = {
        batch: look(parts_for(arguments.blocks, arguments.channels, batch), arguments.seconds)
        for batch in arguments.batches
    }
    print(json.dumps(document, indent=1))


def parts_for(blocks: int, channels: int, batch: int) -> Any:
    """Returns the components of self-play with so many matches, on one device."""
    import jax
    from jax.sharding import Mesh

    from selfplay.parallel import AXIS
    from selfplay.registry import make
    from selfplay.runtime.components import make_components
    from selfplay.settings import Config

    config = Config.from_dict(
        {
            "network": {"blocks": blocks, "channels": channels, "dtype": "bfloat16"},
            "search": {"num_simulations": SIMULATIONS, "inference": "xla"},
            "rollout": {"matches_per_device": batch, "plies_per_chunk": PLIES},
        }
    )
    return make_components(
        make("connect_four"), config, mesh=Mesh(jax.local_devices()[:1], (AXIS,))
    )


def inspect(components: Any, seconds: float) -> dict[str, Any]:
    """Returns what the compiled chunk is made of, beside the network alone; times nothing."""
    import dataclasses

    from compiled_program import custom_calls, forward_cost, inspect_self_play

    del seconds
    program, forward = inspect_self_play(components), forward_cost(components)
    return {
        **dataclasses.asdict(program),
        # A root and a simulation: two evaluations.
        "flops_of_two_forwards": 2 * forward["flops"],
        "bytes_of_two_forwards": 2 * forward["bytes accessed"],
        "cuda_custom_calls": custom_calls(components, "cuda"),
    }


def measure(components: Any, seconds: float) -> dict[str, Any]:
    """Returns rates, medians of rounds in which all ways take turns."""
    import inference
    import jax
    import jax.numpy as jnp

    from selfplay.runtime.playing import Chunks

    # The constants of the pgx way are those of this page.
    inference.SIMULATIONS, inference.PLIES = SIMULATIONS, PLIES
    batch = components.player.num_matches
    weights = components.learner.place(components.network.init(key=jax.random.key(0)))
    chunks = Chunks(components, start_key=jax.random.key(1), play_key=jax.random.key(2))
    observations = jnp.full((batch, *components.network.observation_shape), 0.5, jnp.float32)

    @jax.jit
    def forward(weights: Any, observations: Any) -> Any:
        prediction = components.network.apply(weights, observations)
        return prediction.policy_logits, prediction.value

    pgx = inference.PgxWay("connect_four", components.config.network, components.mesh, batch)

    def ours() -> int:
        return int(chunks.play(weights).actions.size) * SIMULATIONS

    def alone() -> int:
        answers = [forward(weights, observations) for _ in range(SIMULATIONS)]
        jax.block_until_ready(answers)
        return SIMULATIONS * batch

    ways: dict[str, Callable[[], int]] = {
        "simulations_per_second": ours,
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
    return {
        **median,
        "ratio": ratio(rounds, "forwards_per_second"),
        "times_pgx": ratio(rounds, "pgx_simulations_per_second"),
        "rounds": len(rounds),
    }


def ratio(rounds: list[dict[str, float]], other: str) -> float:
    """Returns the median of self-play divided by another way in the same round."""
    return round(statistics.median(one["simulations_per_second"] / one[other] for one in rounds), 3)


if __name__ == "__main__":
    main()
