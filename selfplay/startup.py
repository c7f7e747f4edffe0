"""What has to happen before JAX starts its devices. Host code, called by every command."""

import contextlib
import functools
import os
import stat
import tempfile
from pathlib import Path

import jax

from selfplay.machine import device_cores, usable_cores

ALONE_MEMORY = 0.75
"""Share of an accelerator for a process that plays and learns; the rest is left for a player."""

SHARED_MEMORY = 0.4
"""Share for a trainer, and for a worker: one of each and an evaluator fit on one accelerator."""

_LEAST_COMPILE_SECONDS = 0.1
"""Of a program that is kept; to read one takes about a hundredth of a second."""

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
        cpu_devices: CPU devices to present, at least 1; by default what JAX_NUM_CPU_DEVICES or
            XLA_FLAGS say, else `selfplay.machine.device_cores`.
        compilation_cache: whether compiled programs are kept in the user's cache directory
            (`$JAX_COMPILATION_CACHE_DIR`, else `$XDG_CACHE_HOME/selfplay/xla`; where that cannot
            be written, a folder for temporary files), those that take less time than
            `$JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS` left out.
        device_memory: share of every GPU's memory that this process takes at once and keeps, in
            (0, 1], so that nothing comes to lie between; None to take what it needs when it needs
            it, beside others. Whatever `XLA_CLIENT_MEM_FRACTION` or another of JAX's variables
            about memory says holds instead.
    """
    share_memory(device_memory)
    # XLA starts as many threads as the machine has, whatever a container allows.
    os.environ.setdefault("NPROC", str(cpu_devices or usable_cores().count))
    if cpu_devices is not None or not _devices_chosen():
        wanted = cpu_devices if cpu_devices is not None else device_cores().count
        # RuntimeError: the devices are up already, as in a notebook; they stay as they are.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", wanted)
    if compilation_cache and not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(cache_directory() / "xla"))
    if not os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_COMPILE_SECONDS)


def _devices_chosen() -> bool:
    """Returns whether the environment says how many CPU devices JAX presents."""
    flags = os.environ.get("XLA_FLAGS", "")
    return "xla_force_host_platform_device_count" in flags or bool(
        os.environ.get("JAX_NUM_CPU_DEVICES")
    )


def cores_in_use() -> int:
    """Returns how many CPU cores this process is to use: as `prepare` was told, or found."""
    asked = jax.config.values["jax_num_cpu_devices"]
    return asked if asked > 0 else device_cores().count


def share_memory(share: float | None) -> None:
    """Says how much of a GPU's memory JAX is to take when it starts; see `prepare`."""
    # Alone, JAX takes three quarters, and a second process on the same card finds too little.
    if any(os.environ.get(name) for name in _MEMORY_VARIABLES):
        return
    if share is None:
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    else:
        os.environ["XLA_CLIENT_MEM_FRACTION"] = f"{share:g}"


def cache_directory() -> Path:
    """Returns selfplay's folder in the user's cache directory, which is made if need be.

    Where that cannot be written (a container without a home, a read-only one) it is a folder of
    this user for temporary files.
    """
    try:
        root = os.environ.get("XDG_CACHE_HOME")
        found = (Path(root) if root else Path.home() / ".cache") / "selfplay"
        found.mkdir(parents=True, exist_ok=True)
        if os.access(found, os.W_OK | os.X_OK):
            return found
    except (OSError, RuntimeError):
        pass  # RuntimeError: this user has no home.
    return _temporary_directory()


@functools.cache
def _temporary_directory() -> Path:
    """Returns a folder for temporary files that belongs to this user alone."""
    found = Path(tempfile.gettempdir()) / f"selfplay-{os.getuid()}"
    with contextlib.suppress(OSError):
        found.mkdir(mode=0o700, exist_ok=True)
        # Others must not put compiled programs there.
        status = found.lstat()
        own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if own and not status.st_mode & 0o077:
            return found
    return Path(tempfile.mkdtemp(prefix="selfplay-"))
