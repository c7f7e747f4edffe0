"""Which way of computing the network is used: as asked, or the fastest on this machine."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from selfplay.errors import ConfigError
from selfplay.game import Game
from selfplay.inference.backend import Inference, XlaInference
from selfplay.networks import Network
from selfplay.settings.sections import NetworkConfig
from selfplay.startup import cache_directory

_MEASURED_BATCH = 64
_MEASURE_SECONDS = 0.2
_SMALL_MULTIPLICATIONS = 1_000_000
"""A network with fewer a position is left to XLA: there is little to gain."""

_CLEAR_GAIN = 1.15
"""How much faster another way must be to be chosen over XLA."""


def make_inference(
    game: Game[Any], network: Network, config: NetworkConfig, kind: str = "auto"
) -> Inference:
    """Returns the network as the search will ask it.

    "auto" is XLA on an accelerator, for a module of the user's, for a network so small that there
    is nothing to gain, and where ONNX Runtime is not installed; else the fastest of a measurement
    on this machine, which takes about a second and is remembered in the user's cache directory.

    Args:
        game: the rules.
        network: what `config` describes.
        config: the shape of the network.
        kind: "auto", "xla", "onnx" or "onnx-int8".

    Raises:
        ConfigError: ONNX Runtime is asked for but not installed, or cannot run this network here.
    """
    obstacle = _obstacle(config)
    if kind == "auto":
        large = multiplications(network) >= _SMALL_MULTIPLICATIONS
        kind = _fastest(network, config) if large and not obstacle else "xla"
    elif kind != "xla" and obstacle:
        raise ConfigError(f"search.inference is {kind!r}, but {obstacle[0]}", hint=obstacle[1])
    if kind == "xla":
        return XlaInference(game, network)
    # Not at the top: ONNX Runtime is an extra.
    from selfplay.inference.evaluator import OnnxInference

    return OnnxInference(game, network, config, int8=kind == "onnx-int8")


def multiplications(network: Network) -> int:
    """Returns about how many multiplications one position costs."""
    weights = jax.eval_shape(lambda: network.init(key=jax.random.key(0)))
    cells = int(np.prod(network.observation_shape[:2]))
    return sum(leaf.size * (cells if leaf.ndim == 4 else 1) for leaf in weights.values())


def _obstacle(config: NetworkConfig) -> tuple[str, str] | None:
    """Returns why ONNX Runtime cannot be used, and what to do; None if it can."""
    if config.module:
        return (
            f"network.module {config.module} is a module of your own, which only XLA can run",
            "use search.inference=xla or auto",
        )
    if jax.default_backend() != "cpu":
        return (
            f"the network runs on {jax.default_backend()}, where XLA is the way",
            "use search.inference=xla or auto, or set JAX_PLATFORMS=cpu",
        )
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")):
        return (
            "ONNX Runtime is not installed",
            'pip install "selfplay-jax[onnx]", or use search.inference=xla or auto',
        )
    return None


def _fastest(network: Network, config: NetworkConfig) -> str:
    """Returns the kind that is fastest here; measures once for each network and machine."""
    file = cache_directory() / "inference.json"
    name = _machine_and_network(network, config)
    known = _read(file)
    if known.get(name, {}).get("kind") not in ("xla", "onnx", "onnx-int8"):
        rates = measure(network, config)
        best = max(rates, key=lambda kind: rates[kind])
        kind = best if rates[best] > _CLEAR_GAIN * rates["xla"] else "xla"
        known[name] = {"kind": kind, "positions_per_second": rates}
        _write(file, known)
    return str(known[name]["kind"])


def measure(network: Network, config: NetworkConfig) -> dict[str, float]:
    """Returns positions per second and core of each kind, for fresh weights."""
    from selfplay.inference.evaluator import measure_ranges, serialise
    from selfplay.inference.graph import INPUT
    from selfplay.inference.model import make_session

    weights = network.init(key=jax.random.key(0))
    host = {name: np.asarray(leaf) for name, leaf in weights.items()}
    shape = (_MEASURED_BATCH, *network.observation_shape)
    observations = np.random.default_rng(0).random(shape, np.float32)
    device = jax.local_devices()[0]
    apply = jax.jit(lambda weights, observations: network.apply(weights, observations).value)
    placed = jax.device_put((weights, observations), device)
    calls: dict[str, Callable[[], Any]] = {"xla": lambda: jax.block_until_ready(apply(*placed))}
    ranges = measure_ranges(network, config, host, observations)
    for kind, given in (("onnx", None), ("onnx-int8", ranges)):
        session = make_session(serialise(network, config, host, given))
        calls[kind] = functools.partial(session.run, None, {INPUT: observations})
    rates = dict.fromkeys(calls, 0.0)
    for call in calls.values():
        call()
    # In turns, so that whatever else the machine does meets them alike.
    for _ in range(3):
        for kind, call in calls.items():
            rates[kind] = max(rates[kind], _MEASURED_BATCH * _calls_per_second(call))
    return {kind: round(rate, 1) for kind, rate in rates.items()}


def _calls_per_second(call: Callable[[], Any]) -> float:
    # By this process's own CPU time: whatever else the machine does then hardly matters, and what
    # is remembered is not the accident of a busy second.
    begin = time.process_time()
    count = 0
    while (passed := time.process_time() - begin) < _MEASURE_SECONDS or not count:
        call()
        count += 1
    return count / max(passed, 1e-6)


def _machine_and_network(network: Network, config: NetworkConfig) -> str:
    """Returns a name for all that the speeds depend on."""
    parts = [platform.node(), platform.machine(), _processor(), jax.__version__, repr(config)]
    parts += [repr(network.observation_shape), importlib.metadata.version("onnxruntime")]
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
