"""Examines this machine: what selfplay uses of it, and what limits it."""

import glob
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from selfplay.machine import (
    HINTS,
    available_memory,
    cpu_quota,
    device_cores,
    host_memory,
    usable_cores,
)
from selfplay.parallel import ALONG_BATCH, local_mesh, per_device, sharding
from selfplay.reports.status import run_status
from selfplay.store.place import Place

_PACKAGES = (
    "selfplay-jax", "jax", "jaxlib", "flax", "optax", "mctx", "orbax-checkpoint", "numpy"
)  # fmt: skip
_LITTLE_MEMORY_BYTES = 2e9
_LITTLE_DISK_BYTES = 1e9
_GOOD_SHARE = 0.6


def examine(directory: Path, run: Place | None = None) -> dict[str, Any]:
    """Returns the findings; call it after `selfplay.startup.prepare`.

    Keys: `versions`, whether `onnxruntime` is there, `backend`, `devices`, `accelerators` visible
    to the system, `accelerator_note`, what is not used whatever is installed, `cores` usable and
    `cores_reason`, what limits them, `device_cores` and `device_reason`, likewise of the CPU
    devices that a process presents by default, `cpu_quota` of the container if any, `speed_up` of
    all devices over one, `memory_bytes` and `disk_free_bytes`, `compilation_cache`, `processes` of
    the run (see `process_report`), and `problems`: `message` and `hint` each.

    Args:
        directory: where runs go.
        run: a run whose processes are examined too; None for none.

    Raises:
        RunError: it is not a run.
    """
    devices = jax.local_devices()
    usable, presented = usable_cores(), device_cores()
    cache = jax.config.values["jax_compilation_cache_dir"]
    report: dict[str, Any] = {
        "versions": _versions(),
        "onnxruntime": importlib.util.find_spec("onnxruntime") is not None,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "backend": jax.default_backend(),
        "devices": [{"platform": one.platform, "kind": one.device_kind} for one in devices],
        "accelerators": _accelerators(),
        "accelerator_note": _accelerator_note(),
        "cores": usable.count,
        "cores_reason": usable.reason,
        "device_cores": presented.count,
        "device_reason": presented.reason,
        "cpu_quota": cpu_quota(),
        "load": os.getloadavg()[0],
        "speed_up": measure_speed_up() if len(devices) > 1 else 1.0,
        "memory_bytes": host_memory(),
        "memory_available_bytes": available_memory(),
        "disk_free_bytes": shutil.disk_usage(directory).free,
        "compilation_cache": {"directory": cache, "writable": cache and _is_writable(Path(cache))},
        "processes": [] if run is None else process_report(run_status(run)["processes"]),
    }
    return {**report, "problems": problems(report)}


def process_report(processes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns where the processes of a run spend their time.

    Keys: `role`, `id`, `alive`, `phases` (shares of the wall time; trainers have them),
    `compilations`, `compile_seconds`, `compiled` (`count` and `seconds` of the functions that took
    longest), `compile_problem` ("" if nothing was compiled again that need not be).

    Args:
        processes: of `run_status`.
    """
    empty: dict[str, Any] = {
        "phases": {},
        "compilations": None,
        "compile_seconds": None,
        "compiled": {},
    }
    return [
        {
            **{key: process[key] for key in ("role", "id", "alive")},
            **{key: process.get(key) or otherwise for key, otherwise in empty.items()},
            "compile_problem": process.get("compile_problem", ""),
        }
        for process in processes
    ]


def problems(report: dict[str, Any]) -> list[dict[str, str]]:
    """Returns the problems found, the worst first."""
    found: list[tuple[str, str]] = []
    on_cpu = report["backend"] == "cpu"
    devices, cores = len(report["devices"]), report["device_cores"]
    if on_cpu and report["accelerators"]:
        found.append(
            (
                f"{report['accelerators'][0]} is there, but JAX uses the CPU alone",
                "pip install 'selfplay-jax[cuda12]', or [cuda13] for a newer driver; "
                "JAX_PLATFORMS must not say cpu",
            )
        )
    if on_cpu and devices < cores:
        found.append(
            (
                f"{cores} CPU devices would pay, but JAX has {devices}",
                "unset JAX_NUM_CPU_DEVICES and xla_force_host_platform_device_count in XLA_FLAGS",
            )
        )
    if on_cpu and not report["onnxruntime"]:
        found.append(
            (
                "ONNX Runtime is not installed, so the network is computed by XLA alone",
                "pip install 'selfplay-jax[onnx]': self-play on CPU cores is some three times as "
                "fast",
            )
        )
    if on_cpu and devices > report["cores"]:
        found.append(
            (
                f"JAX has {devices} CPU devices, but {report['cores_reason']}",
                "unset JAX_NUM_CPU_DEVICES and xla_force_host_platform_device_count in XLA_FLAGS",
            )
        )
    if report["cores_reason"].startswith(HINTS):
        found.append(
            (
                f"{report['cores_reason']}, so no more cores are used than that",
                "unset it where it was meant for other programs, or give --devices",
            )
        )
    if report["speed_up"] < _GOOD_SHARE * devices:
        found.append(
            (
                f"{devices} devices together are only {report['speed_up']:.1f} times as fast as "
                f"one (load {report['load']:.1f})",
                "something else is using the cores, or they are threads of the same cores",
            )
        )
    memory = report["memory_available_bytes"]
    if memory is not None and memory < _LITTLE_MEMORY_BYTES:
        found.append((f"only {memory / 1e9:.1f} GB of memory are free", "lower replay.max_window"))
    if report["disk_free_bytes"] < _LITTLE_DISK_BYTES:
        found.append(
            (
                f"only {report['disk_free_bytes'] / 1e9:.1f} GB are free on this disk",
                "choose a --run on another one",
            )
        )
    cache = report["compilation_cache"]
    if not cache["writable"]:
        found.append(
            (
                f"compiled programs cannot be kept in {cache['directory']}",
                "set JAX_COMPILATION_CACHE_DIR to a directory that can be written; until then "
                "every start compiles anew",
            )
        )
    found += [
        (
            f"{process['role']} {process['id']}: {process['compile_problem']}",
            "what it is given must keep its shapes; if you changed nothing, please report it",
        )
        for process in report["processes"]
        if process["compile_problem"]
    ]
    return [{"message": message, "hint": hint} for message, hint in found]


def measure_speed_up() -> float:
    """Returns the speed of convolutions on all devices together, relative to one device."""
    mesh = local_mesh()

    def convolve(images: Array) -> Array:
        kernel = jnp.full((3, 3, 32, 32), 0.01, images.dtype)

        def layer(_: Any, x: Array) -> Array:
            y: Array = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            return y

        return jax.lax.fori_loop(0, 8, layer, images)

    images = jnp.full((64, 8, 8, 32), 0.5, jnp.float32)
    alone = jax.jit(convolve)
    on_one = jax.device_put(images, mesh.devices.flat[0])
    together = jax.jit(per_device(convolve, mesh, ALONG_BATCH, ALONG_BATCH))
    on_all = jax.device_put(jnp.concatenate([images] * mesh.size), sharding(mesh, ALONG_BATCH))
    # The fastest of several, because other work disturbs the rest.
    seconds_alone = min(_seconds(alone, on_one) for _ in range(8))
    return mesh.size * seconds_alone / min(_seconds(together, on_all) for _ in range(8))


def _seconds(function: Callable[[Array], Array], argument: Array) -> float:
    begin = time.monotonic()
    function(argument).block_until_ready()
    return time.monotonic() - begin


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def _accelerators() -> list[str]:
    """Returns the accelerators of the system, whether JAX uses them or not."""
    if shutil.which("nvidia-smi"):
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        names = [line.strip() for line in listed.stdout.splitlines() if line.strip()]
        if listed.returncode == 0 and names:
            return names
    files = [*glob.glob("/dev/nvidia[0-9]*"), *glob.glob("/dev/accel[0-9]*")]
    return sorted(files + glob.glob("/dev/kfd"))


def _accelerator_note() -> str:
    """Returns a note about an accelerator that selfplay never uses, or ""."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "the GPU of a Mac (Metal, MPS) is not used: JAX computes on its CPU cores"
    return ""


def _is_writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory):
            return True
    except OSError:
        return False
