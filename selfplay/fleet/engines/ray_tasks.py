"""What runs on the nodes of a Ray cluster for each process of a fleet."""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.fleet.engines.addresses import free_address
from selfplay.fleet.engines.ray_metrics import RayMetrics
from selfplay.fleet.fleet import Fleet, Role
from selfplay.fleet.supervisor import GRACE_SECONDS
from selfplay.run.heartbeats import COPY_VARIABLE
from selfplay.store.files import atomic_write
from selfplay.version import software_version

_GPU_MEMORY = 0.9
_LOOK_SECONDS = 0.2
_DRAIN_SECONDS = 5.0


class Drained(Exception):
    """The node of a task is being drained; its process has saved and ended."""


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
    The metrics of the process are those of the task.

    Args:
        document: the fleet, as `Fleet.to_dict` has it.
        role_name: what to run.
        games: the file of the game: name and content; nothing if it is none.
        index: which of the processes of the role it is, from 0.
        coordinator: where the processes of a trainer of several meet.

    Raises:
        Drained: the node is being drained, so the process was asked to save and end, and Ray runs
            it elsewhere. Processes of a trainer of several stay until their node is lost: Ray does
            not move what was set aside for them before.
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
    with tempfile.TemporaryDirectory(prefix="selfplay-") as temporary:
        heartbeat = Path(temporary) / "heartbeat.json"
        environ[COPY_VARIABLE] = str(heartbeat)
        return _run_to_end(words, environ, RayMetrics(fleet.run, heartbeat), not role.acts_as_one)


def _run_to_end(
    words: Sequence[str], environ: Mapping[str, str], metrics: RayMetrics, movable: bool
) -> int:
    python = (sys.executable, "-P", "-m")
    process = subprocess.Popen(
        [*python, "selfplay.fleet.engines.child", str(os.getpid()), *python, "selfplay", *words],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        # In steps: Ray interrupts a task that is cancelled, but not the wait for a process.
        look_at = time.monotonic() + _DRAIN_SECONDS
        while (status := process.poll()) is None:
            metrics.show()
            if movable and time.monotonic() >= look_at:
                look_at = time.monotonic() + _DRAIN_SECONDS
                if _is_draining():
                    raise Drained("the node is being drained")
            time.sleep(_LOOK_SECONDS)
        return status
    except BaseException as error:
        process.terminate()
        try:
            status = process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if isinstance(error, Drained):
            raise
        return status


def _is_draining() -> bool:
    """Returns whether the node of this task is about to be taken away."""
    import ray

    try:
        # Not part of Ray's documented interface, which has nothing that says so.
        from ray._private.state import state

        draining = state.get_draining_nodes()
    except Exception:
        return False
    return ray.get_runtime_context().get_node_id() in draining


def _written(games: Mapping[str, str]) -> Path:
    """Writes files into a folder that is named after their content; returns it."""
    digest = hashlib.sha256(repr(sorted(games.items())).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"selfplay-games-{os.getuid()}" / digest
    for name, text in games.items():
        if not (folder / name).exists():
            atomic_write(folder / name, text.encode())
    return folder
