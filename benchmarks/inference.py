"""What computes the network: self-play with XLA, ONNX Runtime and int8, beside the pgx way.

    python benchmarks/inference.py [--game connect_four] [--run RUN] [--blocks 4] [--channels 32]
        [--seconds 60]

All ways take turns in one process, so that whatever else the machine does meets them alike:
32 simulations, 64 matches a device. "pgx" is the common way of doing it: pgx's game, its whole
state as the tree's embedding, mctx's Gumbel policy and a network of the same shape in XLA, on one
device and on all of them. --game is a bundled game that pgx has under the same name, or one of
pgx's as in pgx:gardner_chess. Prints one JSON object, with the bytes of one match's tree. With
--run our weights are those of a trained run; fresh ones search other trees. pgx's are fresh: its
game may show other planes.
"""

import argparse
import functools
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIMULATIONS = 32
MATCHES_PER_DEVICE = 64
PLIES = 8
"""In a chunk of the pgx way, which then takes more than a second."""


def main() -> None:
    """Measures every way in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--game", default="connect_four")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    missing = [name for name in ("pgx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: {' and '.join(missing)} is not installed")
        return

    from selfplay.startup import prepare

    prepare()
    import jax
    from jax.sharding import Mesh

    from selfplay.arena import load_weights
    from selfplay.networks import build_network
    from selfplay.registry import make
    from selfplay.run import RunDirectory
    from selfplay.settings import Config

    game = make(arguments.game)
    shape = {"blocks": arguments.blocks, "channels": arguments.channels}
    config = Config.from_dict({"network": shape})
    if arguments.run is not None:
        run = RunDirectory.open(arguments.run)
        game, config = run.make_game(), run.config
    config = config.updated(
        {
            "search": {"num_simulations": SIMULATIONS},
            # As many plies in a chunk as training would choose.
            "rollout": {"matches_per_device": MATCHES_PER_DEVICE, "plies_per_chunk": 0},
        }
    )
    next_policy = config.learner.next_policy_weight > 0
    network = build_network(game, config.network, next_policy=next_policy)
    weights = network.init(key=jax.random.key(0))
    if arguments.run is not None:
        weights = load_weights(run.checkpoints, run.checkpoints.latest() or 0, network)
    devices = jax.local_devices()
    ways: dict[str, Callable[[], int]] = {}
    players = {}
    for kind in ("xla", "onnx", "onnx-int8"):
        players[kind] = OurWay(game, config, weights, kind)
        ways[f"selfplay, {kind}"] = players[kind].chunk
    for count in sorted({1, len(devices)}):
        mesh = Mesh(devices[:count], ("devices",))
        name = f"pgx, {count} device{'s' * (count > 1)}"
        peer = PgxWay(
            arguments.game.removeprefix("pgx:"),
            config.network,
            mesh,
            MATCHES_PER_DEVICE * len(devices),
        )
        ways[name] = peer.chunk
    for chunk in ways.values():
        for _ in range(3):
            chunk()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        for name, chunk in ways.items():
            begin, plies = time.monotonic(), 0
            while (passed := time.monotonic() - begin) < 1.0:
                plies += chunk()
            rates[name].append(plies * SIMULATIONS / passed)
    best_pgx = max(
        (name for name in ways if name.startswith("pgx")), key=lambda n: median(rates[n])
    )
    print(
        json.dumps(
            {
                "game": game.name,
                "network": f"{config.network.blocks}x{config.network.channels}",
                "weights": "fresh" if arguments.run is None else "trained",
                "devices": len(devices),
                "rounds": len(rates[best_pgx]),
                "simulations_per_second": {
                    name: {
                        "median": round(median(found)),
                        "worst": round(min(found)),
                        "times_best_pgx": round(
                            median([a / b for a, b in zip(found, rates[best_pgx], strict=True)]), 2
                        ),
                    }
                    for name, found in rates.items()
                },
                "tree_bytes_of_a_match": {
                    "selfplay": _tree_bytes(game, game.init(jax.random.key(0))),
                    "pgx": _tree_bytes(game, peer.state),
                },
                "computed_share": players["onnx-int8"].computed_share(),
                "agreement": str(players["onnx-int8"].agreement),
            },
            indent=1,
        )
    )


def _tree_bytes(game: Any, state: Any) -> int:
    import jax

    from selfplay.runtime.memory_plan import tree_bytes

    leaves = jax.tree.leaves(state)
    state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    return tree_bytes(game.num_actions, SIMULATIONS, state_bytes)


def median(numbers: list[float]) -> float:
    """Returns the median."""
    return statistics.median(numbers)


class OurWay:
    """Self-play as in training: weights loaded anew for every chunk."""

    def __init__(self, game: Any, config: Any, weights: Any, kind: str) -> None:
        import jax

        from selfplay.runtime.components import make_components
        from selfplay.runtime.playing import Chunks

        components = make_components(game, config.updated({"search": {"inference": kind}}))
        self._weights = components.learner.place(weights)
        self._chunks = Chunks(components, start_key=jax.random.key(1), play_key=jax.random.key(2))
        self.chunk()
        self.chunk()
        self.agreement = self._chunks.calibrate()

    def chunk(self) -> int:
        """Plays a chunk; returns the number of plies."""
        return int(self._chunks.play(self._weights).actions.size)

    def computed_share(self) -> float:
        """Returns the share of the positions asked for that were computed."""
        counts = self._chunks.counts
        return round(counts.computed / max(1, counts.asked), 3)


class PgxWay:
    """pgx's game, its state as embedding, mctx, and the network in XLA."""

    def __init__(self, name: str, config: Any, mesh: Any, matches: int) -> None:
        import jax
        import jax.numpy as jnp
        import mctx
        import pgx

        from selfplay.networks import build_network
        from selfplay.parallel import ALONG_BATCH, REPLICATED, per_device, sharding
        from selfplay.registry import make

        # Of the same shape, but for the planes that pgx's game shows.
        network = build_network(make(f"pgx:{name}"), config)
        weights = network.init(key=jax.random.key(0))
        env = pgx.make(name)
        step = jax.vmap(env.step)

        def evaluate(weights: Any, state: Any) -> Any:
            prediction = network.apply(weights, state.observation.astype(jnp.float32))
            floor = jnp.finfo(jnp.float32).min
            return jnp.where(
                state.legal_action_mask, prediction.policy_logits, floor
            ), prediction.value

        def recurrent(weights: Any, key: Any, action: Any, state: Any) -> Any:
            del key
            mover = state.current_player
            state = step(state, action)
            logits, value = evaluate(weights, state)
            reward = jnp.take_along_axis(state.rewards, mover[:, None], axis=1)[:, 0]
            value = jnp.where(state.terminated, 0.0, value)
            discount = jnp.where(state.terminated, 0.0, -1.0)
            output = mctx.RecurrentFnOutput(
                reward=reward, discount=discount, prior_logits=logits, value=value
            )
            return output, state

        def ply(weights: Any, state: Any, key: Any) -> Any:
            search_key, init_key = jax.random.split(key)
            logits, value = evaluate(weights, state)
            found = mctx.gumbel_muzero_policy(
                weights,
                search_key,
                mctx.RootFnOutput(prior_logits=logits, value=value, embedding=state),
                recurrent,
                SIMULATIONS,
                invalid_actions=~state.legal_action_mask,
                qtransform=mctx.qtransform_completed_by_mix_value,
            )
            state = step(state, found.action)
            fresh = jax.vmap(env.init)(jax.random.split(init_key, state.terminated.shape[0]))
            over = state.terminated
            state = jax.tree.map(
                lambda new, old: jnp.where(over.reshape(-1, *[1] * (old.ndim - 1)), new, old),
                fresh,
                state,
            )
            return state, found.action_weights

        def chunk(weights: Any, state: Any, keys: Any) -> Any:
            return jax.lax.scan(
                functools.partial(ply, weights), state, jax.random.split(keys[0], PLIES)
            )

        self.state = jax.eval_shape(env.init, jax.random.key(0))
        self._mesh = mesh
        self._matches = matches
        self._play = jax.jit(
            per_device(
                chunk,
                mesh,
                (REPLICATED, ALONG_BATCH, ALONG_BATCH),
                (ALONG_BATCH, jax.sharding.PartitionSpec(None, *ALONG_BATCH)),
            )
        )
        self._weights = jax.device_put(weights, sharding(mesh, REPLICATED))
        states = jax.vmap(env.init)(jax.random.split(jax.random.key(0), matches))
        self._states = jax.device_put(states, sharding(mesh, ALONG_BATCH))
        self._chunks = 0

    def chunk(self) -> int:
        """Plays a chunk; returns the number of plies."""
        import jax

        keys = jax.random.split(jax.random.key(self._chunks), self._mesh.size)
        self._states, policies = self._play(self._weights, self._states, keys)
        jax.device_get(policies)
        self._chunks += 1
        return PLIES * self._matches


if __name__ == "__main__":
    main()
