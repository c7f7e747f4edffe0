"""What has to happen before JAX starts its devices. Host code, called by every command."""

import contextlib
import os
from pathlib import Path

import jax

LOOP_MEMORY = 0.75
"""Share of an accelerator for a process that plays and learns: the rest is for a look at it."""

ROLE_MEMORY = 0.4
"""Share for a trainer, and for a worker: one of each and an evaluator fit on one accelerator."""

_MEMORY_VARIABLES = (
    "XLA_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
    "XLA_PYTHON_CLIENT_ALLOCATOR",
)


def prepare(
    *,
    cpu_devices: int | None = None,
    compilation_cache: bool = True,
    device_memory: float | None = None,
) -> None:
    """Puts every CPU core to work, turns on the compilation cache, takes its share of a GPU.

    Call it once, before the first JAX computation of the process. The command line always does.
    XLA runs convolutions on one thread, so each core becomes a device of its own; where JAX has
    already started its devices they stay as they are.

    Args:
        cpu_devices: CPU devices to present; by default the cores this process may use.
        compilation_cache: whether compiled programs are kept in the user's cache directory
            (`$JAX_COMPILATION_CACHE_DIR`, else `$XDG_CACHE_HOME/selfplay/xla`).
        device_memory: share of every GPU's memory that this process takes at once and keeps, in
            (0, 1], so that nothing comes to lie between; None to take what it needs when it needs
            it, beside others. Whatever `XLA_CLIENT_MEM_FRACTION` or another of JAX's variables
            about memory says holds instead.
    """
    share_memory(device_memory)
    wanted = cpu_devices if cpu_devices is not None else usable_cores()
    chosen_by_user = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not chosen_by_user:
        # RuntimeError: the devices are up already, as in a notebook; they stay as they are.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", wanted)
    if compilation_cache and not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(cache_directory() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def share_memory(share: float | None) -> None:
    """Says how much of a GPU's memory JAX is to take when it starts; see `prepare`."""
    # Alone, JAX takes three quarters, and a second process on the same card finds too little.
    if any(os.environ.get(name) for name in _MEMORY_VARIABLES):
        return
    if share is None:
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    else:
        os.environ["XLA_CLIENT_MEM_FRACTION"] = f"{share:g}"


def usable_cores() -> int:
    """Returns how many CPU cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_directory() -> Path:
    """Returns selfplay's folder in the user's cache directory."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "selfplay"
