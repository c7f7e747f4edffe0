"""Measures the speed of self-play for one or several numbers of matches."""

import datetime
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from selfplay.arena import load_weights
from selfplay.checkpoints import Checkpoints
from selfplay.configuration import check_range
from selfplay.game import Game
from selfplay.parallel import local_mesh
from selfplay.records import MatchCollector, MatchRecord, Provenance
from selfplay.rollout import Plies
from selfplay.runtime.components import Components, make_components
from selfplay.runtime.memory_plan import plan_memory
from selfplay.runtime.playing import Chunks
from selfplay.settings import Config, settings_hash

_LEAST_ROUNDS = 3


def bench_batches(
    game: Game[Any],
    config: Config,
    batches: Sequence[int],
    *,
    checkpoints: Checkpoints | None = None,
    seconds: float = 30.0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Returns the speed of self-play with different numbers of matches side by side.

    It measures one number after another, so that each can use all memory.

    Keys: `game`, `simulations` per move, `inference`, `devices`, `platform`, `device`, `date`,
    and `batches`, a list: `batch`, `simulations_per_second` (median over rounds), `spread` (the
    lowest and the highest), `evaluations_per_second` (positions that the network computed: a
    repeated position is computed once by ONNX Runtime), `matches_per_second`, `rounds`.

    Args:
        game: the rules.
        config: the settings.
        batches: numbers of matches, at least 1; rounded up to a multiple of the devices.
        checkpoints: of a run, whose newest weights are used; None for fresh ones.
        seconds: how long to measure, all batches together, compilation not counted.
        say: shows what is being measured.

    Raises:
        ConfigError: a batch is below 1, or does not fit into memory.
    """
    devices = local_mesh().size
    rows = []
    for asked in batches:
        check_range("--batches", asked, low=1)
        per_device = -(-asked // devices)
        batch = per_device * devices
        components = make_components(
            game, config.updated({"rollout": {"matches_per_device": per_device}})
        )
        plan_memory(game, components.network, components.config).check()
        say(f"compiling self-play of {batch:,} matches")
        player = MeasuredPlay(components, bench_weights(components, checkpoints))
        say(f"measuring for {seconds / len(batches):g} seconds")
        rounds = [
            player.measure(seconds / len(batches) / _LEAST_ROUNDS) for _ in range(_LEAST_ROUNDS)
        ]
        median = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        simulations = [one["simulations"] for one in rounds]
        rows.append(
            {
                "batch": batch,
                "simulations_per_second": median["simulations"],
                "spread": [min(simulations), max(simulations)],
                "evaluations_per_second": median["evaluations"],
                "matches_per_second": median["matches"],
                "rounds": len(rounds),
            }
        )
    return {
        "game": game.name,
        "simulations": config.search.num_simulations,
        "inference": components.inference.kind,
        **machine(components),
        "batches": rows,
    }


def bench_weights(components: Components, checkpoints: Checkpoints | None) -> Any:
    """Returns the newest weights of a run, or fresh ones, on the devices that learn."""
    newest = None if checkpoints is None else checkpoints.latest()
    if checkpoints is None or newest is None:
        weights = components.network.init(key=jax.random.key(0))
    else:
        weights = load_weights(checkpoints, newest, components.network)
    return components.learner.place(weights)


def machine(components: Components) -> dict[str, Any]:
    """Returns the machine and the date: `devices`, `platform`, `device`, `date`."""
    device = components.mesh.devices.flat[0]
    name = device.device_kind if device.platform != "cpu" else _processor() or "cpu"
    return {
        "devices": components.mesh.size,
        "platform": device.platform,
        "device": name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _processor() -> str:
    """Returns the model of the CPU, "" where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else ""


class MeasuredPlay:
    """Self-play that continues from measurement to measurement.

    Attributes:
        chunks: plays.
        compile_seconds: by how much the first chunk took longer than the second.
        finished: how many matches have ended.
        records: the first ones to end.
    """

    def __init__(self, components: Components, weights: Any) -> None:
        """Compiles, and plays until the first match has ended.

        Args:
            components: made from the game and its config.
            weights: of its network.
        """
        self.finished = 0
        self._weights = weights
        provenance = Provenance(
            game=components.game.name,
            version=components.game.version,
            fingerprint="",
            worker="bench",
            settings_hash=settings_hash(components.config),
            simulations=components.config.search.num_simulations,
        )
        collector = MatchCollector(provenance, components.player.num_matches)
        begin = time.monotonic()
        self.chunks = Chunks(components, start_key=jax.random.key(1), play_key=jax.random.key(2))
        plies = [self.chunk()]
        first = time.monotonic() - begin
        begin = time.monotonic()
        plies.append(self.chunk())
        self.compile_seconds = max(0.0, first - (time.monotonic() - begin))
        # Calibrates, if necessary, before the measurement.
        self.chunks.calibrate()
        self.records: list[MatchRecord] = []
        while not self.records:
            for chunk in plies:
                self.records += collector.add(chunk, checkpoint=0, sequence=0)
            plies = [self.chunk()]

    @property
    def computed_share(self) -> float:
        """Share of the positions asked for that were computed."""
        counts = self.chunks.counts
        return counts.computed / counts.asked if counts.asked else 1.0

    def chunk(self) -> Plies:
        """Plays a chunk after loading the weights again, as in training."""
        plies = self.chunks.play(self._weights)
        self.finished += int(plies.over.sum())
        return plies

    def measure(self, seconds: float) -> dict[str, float]:
        """Returns plies, simulations, evaluations and finished matches per second."""
        finished, before = self.finished, self.chunks.counts
        begin = time.monotonic()
        plies = simulations = 0
        while (passed := time.monotonic() - begin) < seconds:
            plies += self.chunk().actions.size
            simulations += self.chunks.simulations
        after = self.chunks.counts
        asked = after.asked - before.asked
        # Without counts every simulation is computed.
        share = (after.computed - before.computed) / asked if asked else 1.0
        return {
            "plies": plies / passed,
            "simulations": simulations / passed,
            "evaluations": share * simulations / passed,
            "matches": (self.finished - finished) / passed,
        }
