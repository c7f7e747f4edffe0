"""Measures the speed of self-play, network and updates on this machine."""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from selfplay.checkpoints import Checkpoints
from selfplay.game import Game
from selfplay.networks import compute_dtype
from selfplay.parallel import ALONG_BATCH, REPLICATED, per_device, sharding
from selfplay.records import MatchRecord
from selfplay.reports.bench_play import MeasuredPlay, bench_weights, machine
from selfplay.runtime.components import Components, make_components
from selfplay.runtime.trace import TRACED_CHUNKS, Trace
from selfplay.settings import Config

FORWARD_BATCHES = (16, 32, 64, 128, 256)
"""On a CPU core; the best of them counts."""

ACCELERATOR_FORWARD_BATCHES = (256, 1024, 4096)

_SHORTEST_SECONDS = 0.3
_LEAST_ROUNDS = 3


def bench(
    game: Game[Any],
    config: Config,
    *,
    checkpoints: Checkpoints | None = None,
    seconds: float = 30.0,
    trace: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Returns the measurements, every rate as the median of several rounds.

    Self-play, the network alone and updates take turns, so that other load on the machine affects
    them alike. Self-play loads its weights again for every chunk, as in training.

    Keys: `game`, `network`, `inference` (what computed the network in self-play),
    `computed_share` of the positions asked for (ONNX Runtime computes each but once), `batch`
    (matches side by side), `simulations` per move; `simulations_per_second`;
    `forwards_per_second`, of the network alone in XLA on one device while the others rest, at its
    best batch size `forward_batch`; `forwards_per_second_together`, likewise for each device
    while all are busy; `ratio`, the simulations divided by what all devices would do if each were
    as fast as one alone; `matches_per_second`, `plies_per_second`, `updates_per_second`,
    `compile_seconds` of self-play, `peak_memory_bytes`, `state_bytes` of one position, `devices`,
    `platform`, `device`, `date`, and `spread`, the lowest and the highest
    `simulations_per_second`.

    Args:
        game: the rules.
        config: the settings.
        checkpoints: of a run, whose newest weights are used; None for fresh ones.
        seconds: how long to measure, compilation not counted.
        trace: where to write a trace of chunks and updates once all is measured, see `Trace`.
        say: shows what is being measured.
    """
    components = make_components(game, config)
    weights = bench_weights(components, checkpoints)
    say("compiling self-play")
    player = MeasuredPlay(components, weights)
    say("compiling the network alone")
    alone, together = _best_forward(components, weights, seconds / 10)
    say("compiling updates")
    update = MeasuredUpdates(components, player.records)
    say(f"measuring for {seconds:g} seconds")
    rounds: list[dict[str, float]] = []
    end = time.monotonic() + seconds
    share = max(_SHORTEST_SECONDS, seconds / 20)
    while len(rounds) < _LEAST_ROUNDS or time.monotonic() < end:
        rounds.append(
            {
                **player.measure(share),
                "alone": alone.rate(share / 2),
                "together": together.rate(share / 2),
                "updates": update.rate(share / 2),
            }
        )
    if trace is not None:
        _trace(player, update, Trace(trace, say, warm_up_chunks=0))
    median = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    simulations = [one["simulations"] for one in rounds]
    state = jax.eval_shape(game.init, jax.random.key(0))
    devices = components.mesh.size
    return {
        "game": game.name,
        "network": _network_name(config),
        "inference": components.inference.kind,
        "computed_share": player.computed_share,
        "weights": components.network.num_weights(),
        "batch": components.player.num_matches,
        "simulations": config.search.num_simulations,
        "simulations_per_second": median["simulations"],
        "forwards_per_second": median["alone"],
        "forwards_per_second_together": median["together"],
        "forward_batch": alone.batch,
        "ratio": statistics.median(one["simulations"] / (devices * one["alone"]) for one in rounds),
        "matches_per_second": median["matches"],
        "plies_per_second": median["plies"],
        "updates_per_second": median["updates"],
        "learner_batch": config.learner.batch_size,
        "compile_seconds": player.compile_seconds,
        "peak_memory_bytes": _peak_memory(),
        "state_bytes": sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)),
        **machine(components),
        "rounds": len(rounds),
        "spread": [min(simulations), max(simulations)],
    }


def _trace(player: MeasuredPlay, update: "MeasuredUpdates", trace: Trace) -> None:
    """Writes a trace of chunks with an update after each."""
    player.chunks.trace = trace
    for _ in range(TRACED_CHUNKS):
        player.chunk()
        update()
    trace.close()


class _Forward:
    """The network alone, on one device or on all at once; `rate` is per device."""

    def __init__(self, components: Components, weights: Any, batch: int, *, together: bool) -> None:
        self.batch = batch
        network, mesh = components.network, components.mesh
        shape = (batch, *network.observation_shape)

        def predict(weights: Any, observations: Array) -> tuple[Array, Array]:
            prediction = network.apply(weights, observations)
            return prediction.policy_logits, prediction.value

        # The values do not matter to dense arithmetic.
        if together:
            self._apply = jax.jit(per_device(predict, mesh, (REPLICATED, ALONG_BATCH), ALONG_BATCH))
            observations = jnp.full((mesh.size * batch, *shape[1:]), 0.5, jnp.float32)
            self._observations = jax.device_put(observations, sharding(mesh, ALONG_BATCH))
            self._weights = weights
        else:
            self._apply = jax.jit(predict)
            device = mesh.devices.flat[0]
            self._observations = jax.device_put(jnp.full(shape, 0.5, jnp.float32), device)
            self._weights = jax.device_put(jax.device_get(weights), device)
        self()

    def __call__(self) -> None:
        """Makes one call and waits for it."""
        jax.block_until_ready(self._apply(self._weights, self._observations))

    def rate(self, seconds: float) -> float:
        """Returns positions per second and device."""
        return self.batch * _rate(self, seconds)


def _best_forward(
    components: Components, weights: Any, seconds: float
) -> tuple[_Forward, _Forward]:
    """Returns the network on one device alone and on all, each at its best batch size."""
    best = []
    for together in (False, True):
        on_cpu = components.mesh.devices.flat[0].platform == "cpu"
        forwards = [
            _Forward(components, weights, batch, together=together)
            for batch in (FORWARD_BATCHES if on_cpu else ACCELERATOR_FORWARD_BATCHES)
        ]
        share = seconds / len(forwards)
        # Twice, to reduce the effect of noise.
        rates = [max(forward.rate(share / 2) for _ in range(2)) for forward in forwards]
        best.append(forwards[rates.index(max(rates))])
    return best[0], best[1]


class MeasuredUpdates:
    """Updates on positions of the self-play before, including sampling.

    Attributes:
        per_call: how many are made in one call of the device, as in training.
    """

    def __init__(self, components: Components, matches: list[MatchRecord]) -> None:
        self._window = components.window()
        self._window.ingest(matches)
        self._components = components
        self._state = components.learner.init(key=jax.random.key(3))
        self._updates = 0
        self._batch_size = components.config.learner.batch_size
        sample = self._window.sample(self._batch_size, seed=0, update=0)
        self.per_call = components.learner.most_updates(sample)
        self()
        self()

    def __call__(self) -> None:
        """Makes the updates of one call and waits for them."""
        updates = range(self._updates, self._updates + self.per_call)
        self._updates += self.per_call
        self._state, metrics = self._components.learner.updates(
            self._state,
            self._window.batches(self._batch_size, seed=0, updates=updates),
            learning_rates=[self._components.config.learner.learning_rate] * self.per_call,
            count=self.per_call,
            key=jax.random.key(4),
        )
        jax.block_until_ready(metrics)

    def rate(self, seconds: float) -> float:
        """Returns updates per second."""
        return self.per_call * _rate(self, seconds)


def _rate(call: Callable[[], None], seconds: float) -> float:
    """Returns calls per second."""
    begin = time.monotonic()
    calls = 0
    while (passed := time.monotonic() - begin) < seconds or not calls:
        call()
        calls += 1
    return calls / passed


def _network_name(config: Config) -> str:
    network = config.network
    dtype = compute_dtype(network)
    return network.module or f"{network.kind} {network.blocks}x{network.channels} {dtype}"


def _peak_memory() -> int:
    """Returns the most memory held: on the accelerator, or by this process."""
    held = [(device.memory_stats() or {}).get("peak_bytes_in_use", 0) for device in jax.devices()]
    if any(held):
        return sum(held)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
