"""Starts the processes of a fleet as tasks of Ray."""

from collections.abc import Mapping
from typing import Any

from selfplay.fleet.engines.ray_tasks import Drained, node_address, resources, run_process
from selfplay.fleet.fleet import Fleet, Process
from selfplay.fleet.watched import Handle, Starter


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

    Ray places them, and starts them again elsewhere when a node is lost or drained; a process that
    fails by itself is for the supervisor, and so are those of a trainer of several.
    """

    def __init__(self, fleet: Fleet, games: Mapping[str, str]) -> None:
        self._fleet = fleet
        self._games = dict(games)
        self._handles: dict[str, RayHandle] = {}
        self._hosts: Any = None
        self._coordinator: Any = None

    def start(self, process: Process) -> RayHandle:
        """Submits the task; it waits until there are resources for it."""
        import ray

        options = {
            "max_retries": -1,
            "retry_exceptions": [Drained],
            **resources(process.role),
        }
        coordinator = ""
        if process.role.acts_as_one:
            # None can go on without the others, so all of them are for the supervisor to start.
            options |= {"max_retries": 0, "scheduling_strategy": self._host(process.index)}
            if process.index == 0:
                self._coordinator = self._address()
            # Not known yet: Ray starts a task once its arguments are.
            coordinator = self._coordinator
        task = ray.remote(run_process).options(name=f"selfplay {process.name}", **options)
        reference = task.remote(
            self._fleet.to_dict(),
            process.role.name,
            self._games,
            process.index,
            coordinator,
        )
        self._handles[process.name] = RayHandle(reference)
        return self._handles[process.name]

    def _host(self, index: int) -> Any:
        """Returns where Ray places a process of a trainer of several: on nodes of their own.

        If there are too few nodes, some share one.
        """
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        if self._hosts is None:
            names = {"num_cpus": "CPU", "num_gpus": "GPU"}
            asked = resources(self._fleet.trainer).items()
            bundle = {names.get(name, name): number for name, number in asked}
            count = self._fleet.trainer.count
            self._hosts = placement_group([bundle] * count, strategy="SPREAD")
        return PlacementGroupSchedulingStrategy(self._hosts, placement_group_bundle_index=index)

    def _address(self) -> Any:
        """Returns a reference to the address where the processes of the trainer meet next."""
        import ray

        task = ray.remote(node_address).options(num_cpus=0, scheduling_strategy=self._host(0))
        return task.remote()

    def close(self) -> None:
        """Gives back what was set aside for a trainer of several."""
        if self._hosts is not None:
            from ray.util.placement_group import remove_placement_group

            remove_placement_group(self._hosts)

    def last_words(self, process: Process) -> str:
        """Returns why Ray could not run it; what a process says is in the logs of Ray."""
        return self._handles[process.name].words
