"""The engines that run a fleet: one table, and what each of them can do."""

import abc
import dataclasses
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selfplay.fleet.fleet import Fleet
from selfplay.fleet.record import Record


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """What a person asks of the engine; the description of the fleet is apart.

    Attributes:
        detach: whether the fleet goes on after the command has ended (local).
        logs: the folder for logs; None for that of the record (local, slurm).
        max_restarts: failures in a row after which a process is given up (local, ray).
        max_cost: the bill at which the fleet ends, in the currency of the prices in the settings
            `cost`; None for no limit (local, ray).
        shared: whether every node sees the directory of the run, whatever its file system (slurm).
        sbatch: further options of sbatch (slurm).
        namespace: of the objects (kubernetes).
        image, trainer_image: images in a registry; "" for those of the files (kubernetes).
        storage_class: of the volume for the run; "" for that of the files (kubernetes).
        max_workers: up to how many workers the engine may scale; None for a fixed number
            (kubernetes).
        components: further parts of the deployment: "monitoring" (Prometheus and Grafana),
            "backlog" (scaling by the backlog of the run) (kubernetes).
        address: of the cluster; "" for the one that Ray finds (ray).
        pending: whether processes may wait for resources that the cluster lacks now (ray).
    """

    detach: bool = False
    logs: Path | None = None
    max_restarts: int = 5
    max_cost: float | None = None
    shared: bool = False
    sbatch: tuple[str, ...] = ()
    namespace: str = "selfplay"
    image: str = ""
    trainer_image: str = ""
    storage_class: str = ""
    max_workers: int | None = None
    components: tuple[str, ...] = ()
    address: str = ""
    pending: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a launch has led to.

    Attributes:
        document: for programs; JSON can hold it.
        text: for people.
        error: what went wrong, "" if nothing did.
        hint: where to look then.
    """

    document: Mapping[str, Any]
    text: str
    error: str = ""
    hint: str = ""


Say = Callable[[str], None]
OnStop = Callable[[Callable[[], None]], None]
"""Takes the function that asks a running fleet to end."""


class Backend(abc.ABC):
    """An engine."""

    takes: frozenset[str] = frozenset()
    """Names of the `LaunchOptions` that mean something to it."""

    sees_run = True
    """Whether the launcher can look into the run, which may be in a volume or a private network."""

    @abc.abstractmethod
    def shown(self, fleet: Fleet, options: LaunchOptions) -> str:
        """Returns what `launch` would start or submit, as text.

        Raises:
            SelfplayError: the fleet cannot run here.
        """

    @abc.abstractmethod
    def launch(
        self, record: Record, fleet: Fleet, options: LaunchOptions, say: Say, on_stop: OnStop
    ) -> Result:
        """Starts the fleet and records it.

        Args:
            record: of the fleet.
            fleet: what to run.
            options: what was asked of the engine.
            say: shows a line meanwhile.
            on_stop: is told how to end the fleet, if this call lasts as long as the fleet.

        Raises:
            SelfplayError: the fleet cannot run here, or runs already.
        """

    @abc.abstractmethod
    def processes(self, record: Record, document: Mapping[str, Any]) -> dict[str, Any]:
        """Returns how the fleet is: "alive", whether the engine still runs it, and "processes".

        Args:
            record: of the fleet.
            document: its content.
        """

    @abc.abstractmethod
    def stop(self, record: Record, document: Mapping[str, Any], say: Say) -> str:
        """Ends the fleet in order: every process saves. Returns what was done, in words.

        Raises:
            SelfplayError: the engine cannot be reached.
        """


BACKENDS = {
    "local": "selfplay.fleet.engines.local:Local",
    "kubernetes": "selfplay.fleet.engines.kubernetes:Kubernetes",
    "ray": "selfplay.fleet.engines.ray_cluster:RayCluster",
    "slurm": "selfplay.fleet.engines.slurm:Slurm",
}
"""Name to module and class; a new engine is one line here."""


def make_backend(name: str) -> Backend:
    """Returns an engine by its name in `BACKENDS`."""
    module, _, kind = BACKENDS[name].partition(":")
    backend: Backend = getattr(importlib.import_module(module), kind)()
    return backend
