"""What runs on the nodes of a Ray cluster: the processes of a fleet, and their supervisor."""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.errors import RunError, StorageError
from selfplay.fleet.budget import Budget
from selfplay.fleet.fleet import Fleet, Process, Role
from selfplay.fleet.supervisor import GRACE_SECONDS, Outcome, Supervisor
from selfplay.fleet.watched import Handle, Starter
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


def run_process(document: Mapping[str, Any], role_name: str, games: Mapping[str, str]) -> int:
    """Runs a process of a fleet on this node until it ends; returns its exit code.

    When the task is cancelled, the process is asked to save and end. When its node or its
    supervisor is lost, Ray kills it with the task; the next one goes on from what is stored.

    Args:
        document: the fleet, as `Fleet.to_dict` has it.
        role_name: what to run.
        games: the file of the game: name and content; nothing if it is none.
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
    words = fleet.command(role, f"--devices={cpus}")
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


class RayHandle(Handle):
    """A task of Ray that runs a process."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference
        self.words = ""

    def poll(self) -> int | None:
        """Returns the exit code of the process, 1 if the task could not run it."""
        import ray

        ready, _ = ray.wait([self._reference], timeout=0)
        if not ready:
            return None
        try:
            return int(ray.get(ready[0]))
        except ray.exceptions.TaskCancelledError:
            return 0
        except ray.exceptions.RayError as error:
            self.words = str(error).strip().splitlines()[-1]
            return 1

    def ask(self) -> None:
        """Cancels the task, which asks the process."""
        import ray

        ray.cancel(self._reference)

    def kill(self) -> None:
        """Kills the task."""
        import ray

        ray.cancel(self._reference, force=True)


class RayStarter(Starter):
    """Starts the processes of a fleet as tasks.

    Ray places them, and starts them again elsewhere when a node is lost; a process that fails by
    itself is for the supervisor.
    """

    def __init__(self, fleet: Fleet, games: Mapping[str, str]) -> None:
        self._fleet = fleet
        self._games = dict(games)
        self._handles: dict[str, RayHandle] = {}

    def start(self, process: Process) -> RayHandle:
        """Submits the task; it waits until there are resources for it."""
        import ray

        task = ray.remote(run_process).options(
            name=f"selfplay {process.name}", max_retries=-1, **resources(process.role)
        )
        reference = task.remote(self._fleet.to_dict(), process.role.name, self._games)
        self._handles[process.name] = RayHandle(reference)
        return self._handles[process.name]

    def last_words(self, process: Process) -> str:
        """Returns why Ray could not run it; what a process says is in the logs of Ray."""
        return self._handles[process.name].words


class FleetActor:
    """The supervisor of a fleet, as an actor that outlives the launcher.

    Ray starts it again if its node is lost. Its tasks end with it, and it starts them anew.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        games: Mapping[str, str],
        most_restarts: int,
        max_cost: float | None = None,
    ) -> None:
        """Starts the fleet.

        Args:
            document: the fleet, as `Fleet.to_dict` has it.
            games: the file of the game: name and content.
            most_restarts: failures in a row after which a process is given up.
            max_cost: the bill at which the fleet ends; None for no limit.
        """
        fleet = Fleet.from_dict(document)
        self._said: list[str] = []
        self._outcome: Outcome | None = None
        self._max_cost = max_cost
        self._budget: Budget | None = None
        self._fleet = fleet
        self._supervisor = Supervisor(
            fleet.processes(),
            RayStarter(fleet, games),
            say=self._said.append,
            most_restarts=most_restarts,
            spent=self._spent,
        )
        threading.Thread(target=self._run, name="supervisor", daemon=True).start()

    def _run(self) -> None:
        try:
            self._outcome = self._supervisor.run()
        except Exception as error:
            self._outcome = Outcome(reason="the supervisor has failed", error=repr(error))

    def _spent(self) -> str:
        """Returns why the fleet must end, "" while it need not."""
        if self._max_cost is None:
            return ""
        if self._budget is None:
            # Here: Ray starts this actor again on a node that may not reach the store at once.
            try:
                self._budget = Budget(self._fleet, self._max_cost, self._said.append)
            except RunError as error:
                return str(error)
            except StorageError:
                return ""
        return self._budget.spent()

    def status(self, after: int = 0) -> dict[str, Any]:
        """Returns the processes, what was said after so many lines, and how the fleet has ended."""
        return {
            "processes": [one.to_dict() for one in self._supervisor.watched],
            "said": self._said[after:],
            "ended": None if self._outcome is None else self._outcome.reason,
            "error": None if self._outcome is None else self._outcome.error,
        }

    def stop(self) -> None:
        """Asks all processes to save and end."""
        self._supervisor.stop()
