"""What must hold of a Ray cluster before a fleet starts on it."""

import contextlib
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.errors import ConfigError, MissingExtraError, RunError
from selfplay.fleet.engines.ray_tasks import look_around, resources
from selfplay.fleet.fleet import Fleet
from selfplay.store.files import storage_errors
from selfplay.store.place import local_path

_PATIENCE_SECONDS = 120.0
_FREED_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_UNITS = {"num_cpus": ("CPU", "cores"), "num_gpus": ("GPU", "GPUs"), "memory": ("memory", "bytes")}


def ray_module() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtraError(
            "--on ray needs Ray, which is not installed", hint='pip install "selfplay-jax[ray]"'
        ) from None
    return ray


def alive_nodes() -> list[dict[str, Any]]:
    return [node for node in ray_module().nodes() if node["Alive"]]


def free_resources() -> dict[str, float]:
    return dict(ray_module().available_resources())


def check_resources(fleet: Fleet, nodes: Sequence[Mapping[str, float]], available: Any) -> None:
    """Raises unless the cluster has room for every process now.

    Args:
        fleet: what is to run.
        nodes: the resources of each node, by Ray's names for them.
        available: returns those of the whole cluster that are free.

    Raises:
        ConfigError: there is too little.
    """
    hint = "lower --workers, --cpus or --gpus; --pending waits for nodes that the cluster adds"
    for role in fleet.roles:
        asked = resources(role)
        if role.count and not any(_fits(asked, node) for node in nodes):
            raise ConfigError(
                f"a {role.name} asks for {_words(asked)}, but no node of the cluster has so much "
                f"(nodes: {'; '.join(_words(_named(node)) for node in nodes)})",
                hint=hint,
            )
    wanted = dict.fromkeys(_UNITS, 0.0)
    for one in fleet.processes():
        for name, number in resources(one.role).items():
            wanted[name] += number
    # What a fleet that has just ended held is free a moment later.
    deadline = time.monotonic() + _FREED_SECONDS
    while not _fits(wanted, free := available()):
        if time.monotonic() > deadline:
            raise ConfigError(
                f"the fleet asks for {_words(wanted)}, but the cluster has {_words(_named(free))} "
                "free",
                hint=hint,
            )
        time.sleep(_LOOK_SECONDS)


def _fits(asked: Mapping[str, float], there: Mapping[str, float]) -> bool:
    return all(there.get(_UNITS[name][0], 0.0) >= number for name, number in asked.items())


def _named(there: Mapping[str, float]) -> dict[str, float]:
    return {name: there.get(key, 0.0) for name, (key, _) in _UNITS.items()}


def _words(asked: Mapping[str, float]) -> str:
    texts = [f"{asked.get('num_cpus', 0.0):g} cores", f"{asked.get('num_gpus', 0.0):g} GPUs"]
    if asked.get("memory"):
        texts.append(f"{asked['memory'] / 1e9:.1f} GB")
    return ", ".join(texts)


def look_at_nodes(nodes: Sequence[Mapping[str, Any]], fleet: Fleet) -> None:
    """Raises unless every node has this selfplay and sees the run.

    A node that is lost or drained meanwhile does not count.
    """
    with _marker(fleet.run) as marker:
        answers = [_answer(node, marker) for node in nodes]
    check_nodes([one for one in answers if one is not None], fleet)


def check_nodes(answers: Sequence[Mapping[str, Any]], fleet: Fleet) -> None:
    """Raises unless every node has this selfplay and sees the run.

    Args:
        answers: what `look_around` returned on each.
        fleet: what is to run.

    Raises:
        ConfigError: a node has another version.
        RunError: a node does not see the directory of the run.
    """
    for one in answers:
        if one["version"] != fleet.version:
            raise ConfigError(
                f"node {one['host']} has selfplay {one['version']}, but this is {fleet.version}",
                hint="install the same version of selfplay on every node",
            )
        if not one["sees"]:
            raise RunError(
                f"{fleet.run} is a directory of this machine, which node {one['host']} cannot see",
                hint="use a bucket, Redis or a directory that all nodes share",
            )


def _answer(node: Mapping[str, Any], marker: str | None) -> dict[str, Any] | None:
    """Returns what `look_around` finds on a node, None if the node takes no tasks any more."""
    ray = ray_module()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
    task = ray.remote(look_around).options(num_cpus=0, scheduling_strategy=there, max_retries=0)
    name = node["NodeManagerHostname"]
    try:
        return dict(ray.get(task.remote(marker), timeout=_PATIENCE_SECONDS))
    except ray.exceptions.GetTimeoutError:
        raise RunError(
            f"node {name} does not answer within {_PATIENCE_SECONDS:g} seconds",
            hint="see ray status",
        ) from None
    except ray.exceptions.TaskUnschedulableError:
        # It needs no resources, so the node is gone or is being drained.
        return None
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines()[-1]
        raise RunError(
            f"node {name} cannot run selfplay: {said}", hint="install selfplay on every node"
        ) from None


@contextlib.contextmanager
def _marker(run: str) -> Any:
    """Yields a file near a run that only those see who see its directory; None for a URL."""
    path = local_path(run)
    if path is None:
        yield None
        return
    folder = next(one for one in (path, *path.parents) if one.is_dir())
    if folder == path:
        # Nothing foreign lies in a run, even for a moment.
        folder = path.parent
    file = folder / f".tmp-selfplay-{uuid.uuid4().hex[:12]}"
    with storage_errors(file):
        file.touch()
    try:
        yield str(file)
    finally:
        file.unlink(missing_ok=True)
