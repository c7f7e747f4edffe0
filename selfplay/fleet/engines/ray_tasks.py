"""What runs on the nodes of a Ray cluster for each process of a fleet."""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.fleet.engines.addresses import free_address
from selfplay.fleet.fleet import Fleet, Role
from selfplay.fleet.supervisor import GRACE_SECONDS
from selfplay.store.files import atomic_write
from selfplay.version import software_version

_GPU_MEMORY = 0.9
_LOOK_SECONDS = 0.2


def resources(role: Role) -> dict[str, float]:
    """Returns what Ray has to set aside for each process of a role.

    A role that asks for no cores gets one.
    """
    found: dict[str, float] = {"num_cpus": float(role.cpus or 1)}
    if role.gpus:
        found["num_gpus"] = float(role.gpus)
    if role.memory:
        found["memory"] = float(role.memory)
    return found


def look_around(marker: str | None) -> dict[str, Any]:
    """Returns what a node is like: its name, its selfplay, and whether it sees a file.

    Args:
        marker: the path of the file; None for no file.
    """
    return {
        "host": socket.gethostname(),
        "version": software_version(),
        "sees": marker is None or os.path.exists(marker),
    }


def node_address() -> str:
    """Returns the address of this node, with a free port."""
    import ray

    util: Any = ray.util
    return free_address(util.get_node_ip_address())


def run_process(
    document: Mapping[str, Any],
    role_name: str,
    games: Mapping[str, str],
    index: int = 0,
    coordinator: str = "",
) -> int:
    """Runs a process of a fleet on this node until it ends; returns its exit code.

    When the task is cancelled, the process is asked to save and end. When its node or its
    supervisor is lost, Ray kills it with the task; the next one goes on from what is stored.

    Args:
        document: the fleet, as `Fleet.to_dict` has it.
        role_name: what to run.
        games: the file of the game: name and content; nothing if it is none.
        index: which of the processes of the role it is, from 0.
        coordinator: where the processes of a trainer of several meet.
    """
    fleet = Fleet.from_dict(document)
    role: Role = getattr(fleet, role_name)
    environ = fleet.environment(os.environ)
    cpus = int(resources(role)["num_cpus"])
    environ["OMP_NUM_THREADS"] = str(cpus)
    environ["PYTHONUNBUFFERED"] = "1"
    if not role.gpus:
        environ["JAX_PLATFORMS"] = "cpu"
    elif role.gpus < 1:
        environ.setdefault("XLA_CLIENT_MEM_FRACTION", f"{_GPU_MEMORY * role.gpus:.3g}")
    if games:
        folder = _written(games)
        environ["SELFPLAY_GAMES"] = os.pathsep.join(
            [str(folder), *filter(None, [environ.get("SELFPLAY_GAMES")])]
        )
    group = fleet.group_options(role, coordinator, index)
    words = fleet.command(role, f"--devices={cpus}", *group)
    python = (sys.executable, "-P", "-m")
    process = subprocess.Popen(
        [*python, "selfplay.fleet.engines.child", str(os.getpid()), *python, "selfplay", *words],
        env=environ,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        # In steps: Ray interrupts a task that is cancelled, but not the wait for a process.
        while (status := process.poll()) is None:
            time.sleep(_LOOK_SECONDS)
        return status
    except BaseException:
        process.terminate()
        try:
            return process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _written(games: Mapping[str, str]) -> Path:
    """Writes files into a folder that is named after their content; returns it."""
    digest = hashlib.sha256(repr(sorted(games.items())).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"selfplay-games-{os.getuid()}" / digest
    for name, text in games.items():
        if not (folder / name).exists():
            atomic_write(folder / name, text.encode())
    return folder
