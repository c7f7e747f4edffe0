"""Which backend computes a network on this machine: the one asked for, or the fastest."""

import hashlib
import json
import os
import platform
import time
import uuid
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import jax
import numpy as np

from selfplay.configuration import check_choice
from selfplay.errors import ConfigError
from selfplay.game import Game
from selfplay.inference.backend import Backend, Inference
from selfplay.networks import Network
from selfplay.settings.choices import BACKENDS, implementation
from selfplay.settings.sections import NetworkConfig
from selfplay.startup import cache_directory

_DEFAULT = "xla"
"""The backend that works on every machine, for every network."""

_MEASURED_BATCH = 64
_MEASURE_SECONDS = 0.2
_SMALL_MULTIPLICATIONS = 1_000_000
"""A network with fewer a position is left to the default: there is little to gain."""

_CLEAR_GAIN = 1.15
"""How much faster than the default another backend must be to be chosen over it."""


def make_inference(
    game: Game[Any],
    network: Network,
    config: NetworkConfig,
    kind: str = "auto",
    *,
    calibrates: bool = True,
) -> Inference:
    """Returns the network as the search will use it.

    "auto" is the fastest backend of a measurement on this machine, which takes about a second and
    is remembered in the user's cache directory. It is XLA where no other can be used (on an
    accelerator, for a module of the user's, without ONNX Runtime), and for a network so small that
    there is nothing to gain.

    Args:
        game: the rules.
        network: what `config` describes.
        config: the shape of the network.
        kind: a value of `search.inference`.
        calibrates: whether the caller calls `Inference.calibrate`; else "auto" leaves out the
            backends that need it.

    Raises:
        ConfigError: the backend asked for cannot be used for this network on this machine.
    """
    check_choice("search.inference", kind, ("auto", *BACKENDS))
    if kind == "auto":
        kind = _fastest(network, config, calibrates=calibrates)
    backend = _backend(kind)
    obstacle = backend.obstacle(config)
    if obstacle is not None:
        raise ConfigError(
            f"search.inference is {kind!r}, but {obstacle.reason}", hint=obstacle.hint
        )
    return backend.make(game, network, config)


def usable_here(kind: str, config: NetworkConfig) -> tuple[str, str]:
    """Returns `kind` and "" if it can be used on this machine, else "auto" and the reason.

    For what a run says of `search.inference`, which was chosen for another machine, perhaps.
    """
    obstacle = None if kind == "auto" else _backend(kind).obstacle(config)
    return (kind, "") if obstacle is None else ("auto", obstacle.reason)


def instead_of(named: str, reason: str) -> str:
    """Returns what to say where a run names a backend that cannot be used for that reason."""
    return f"the run has search.inference = {named}, but here {reason}: auto takes its place"


def multiplications(network: Network) -> int:
    """Returns about how many multiplications one position costs."""
    cells = int(np.prod(network.observation_shape[:2]))
    shapes = network.weight_shapes().values()
    return sum(leaf.size * (cells if len(leaf.shape) == 4 else 1) for leaf in shapes)


def _backend(kind: str) -> Backend:
    found = implementation(BACKENDS, kind)
    if not isinstance(found, Backend):
        raise TypeError(f"{kind} in BACKENDS is no Backend, but {found!r}")
    return found


def _usable(config: NetworkConfig) -> dict[str, Backend]:
    """Returns the backends that can compute this network on this machine, by name."""
    backends = {name: _backend(name) for name in BACKENDS}
    return {name: one for name, one in backends.items() if one.obstacle(config) is None}


def _fastest(network: Network, config: NetworkConfig, *, calibrates: bool) -> str:
    """Returns the fastest backend here; measures once for each network and machine."""
    usable = _usable(config)
    small = multiplications(network) < _SMALL_MULTIPLICATIONS
    if small or len(usable) == 1:
        return _DEFAULT
    file = cache_directory() / "inference.json"
    name = _machine_and_network(network, config, usable)
    known = _read(file)
    if not _are_rates(known.get(name), usable):
        known[name] = measure(network, config)
        _write(file, known)
    rates: dict[str, float] = known[name]
    allowed = [one for one in usable if calibrates or not usable[one].traits.calibrates]
    best = max(allowed, key=lambda one: rates[one])
    return best if rates[best] > _CLEAR_GAIN * rates[_DEFAULT] else _DEFAULT


def measure(network: Network, config: NetworkConfig) -> dict[str, float]:
    """Returns the speed of each usable backend with fresh weights, in positions/s of one core."""
    weights = network.init(key=jax.random.key(0))
    host = {name: np.asarray(leaf) for name, leaf in weights.items()}
    shape = (_MEASURED_BATCH, *network.observation_shape)
    observations = np.random.default_rng(0).random(shape, np.float32)
    calls = {
        name: backend.trial(network, config, host, observations)
        for name, backend in _usable(config).items()
    }
    rates = dict.fromkeys(calls, 0.0)
    for call in calls.values():
        call()
    # In turns, so that whatever else the machine does meets them alike.
    for _ in range(3):
        for name, call in calls.items():
            rates[name] = max(rates[name], _MEASURED_BATCH * _calls_per_second(call))
    return {name: round(rate, 1) for name, rate in rates.items()}


def _are_rates(known: object, names: Collection[str]) -> bool:
    """Returns whether something remembered has a speed for each of these backends."""
    return isinstance(known, dict) and all(
        isinstance(known.get(name), int | float) for name in names
    )


def _calls_per_second(call: Callable[[], object]) -> float:
    # By this process's own CPU time: whatever else the machine does then hardly matters, and what
    # is remembered is not the accident of a busy second.
    begin = time.process_time()
    count = 0
    while (passed := time.process_time() - begin) < _MEASURE_SECONDS or not count:
        call()
        count += 1
    return count / max(passed, 1e-6)


def _machine_and_network(
    network: Network, config: NetworkConfig, backends: dict[str, Backend]
) -> str:
    """Returns a name for all that the speeds depend on."""
    parts = [platform.node(), platform.machine(), _processor(), jax.__version__, repr(config)]
    parts += [repr(network.observation_shape), *(one.version for one in backends.values())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "".join(line for line in lines if line.startswith(("model name", "flags")))[:4000]


def _read(file: Path) -> dict[str, Any]:
    """Returns what is remembered; nothing if the file cannot be read, which costs a second."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _write(file: Path, document: dict[str, Any]) -> None:
    """Remembers; where that is not possible the next start measures again."""
    temporary = file.with_name(f".tmp-{file.name}-{uuid.uuid4().hex[:8]}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
        os.replace(temporary, file)
    except OSError:
        temporary.unlink(missing_ok=True)
