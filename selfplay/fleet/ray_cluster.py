"""The engine `ray`: tasks of a Ray cluster, watched by an actor."""

import contextlib
import dataclasses
import os
import signal
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.errors import ConfigError, MissingExtraError, RunError
from selfplay.fleet.backends import Backend, LaunchOptions, OnStop, Result, Say
from selfplay.fleet.checks import check_no_trainer, game_file
from selfplay.fleet.fleet import Fleet
from selfplay.fleet.ray_tasks import FleetActor, look_around, resources
from selfplay.fleet.record import Record
from selfplay.store.files import storage_errors
from selfplay.store.place import local_path

_NAMESPACE = "selfplay"
_PATIENCE_SECONDS = 120.0
_FREED_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_KNOCK_SECONDS = 10.0
_NO_CLUSTER = "start one (ray start --head), or name it: --address HOST:6379 or ray://HOST:10001"
_HEAD = "node:__internal_head__"
_UNITS = {"num_cpus": ("CPU", "cores"), "num_gpus": ("GPU", "GPUs"), "memory": ("memory", "bytes")}


class RayCluster(Backend):
    """Tasks of Ray."""

    takes = frozenset({"detach", "max_restarts", "address", "pending"})

    def shown(self, fleet: Fleet, options: LaunchOptions) -> str:
        """Returns each command line with the resources that Ray sets aside for it."""
        lines = []
        for one in fleet.processes():
            asked = " ".join(f"{name}={value:g}" for name, value in resources(one.role).items())
            lines.append(f"{one.name}: {asked}: selfplay {' '.join(fleet.command(one.role))}")
        return "\n".join(lines)

    def launch(
        self, record: Record, fleet: Fleet, options: LaunchOptions, say: Say, on_stop: OnStop
    ) -> Result:
        """Starts the fleet; returns at once if it is detached, else when it has ended."""
        connect(options.address)
        old = _actor(record)
        if old is not None:
            if _status(old)["ended"] is None:
                raise record.runs_already()
            _remove(old)
        nodes = _alive_nodes()
        _look_at_nodes(nodes, fleet)
        if not options.pending:
            check_resources(fleet, [node["Resources"] for node in nodes], _available)
        check_no_trainer(fleet.run)
        games, shipped = _shipped(fleet)
        actor = (
            _ray()
            .remote(FleetActor)
            .options(
                name=_name(record),
                namespace=_NAMESPACE,
                lifetime="detached",
                num_cpus=0,
                max_restarts=-1,
                **_on_head(nodes),
            )
            .remote(shipped.to_dict(), games, options.max_restarts)
        )
        details = {"address": options.address, "ended": None}
        record.write(fleet, "ray", details)
        say(f"nodes      {len(nodes)}")
        document = {"run": fleet.run, "on": "ray", **details, "error": None}
        if options.detach:
            _status(actor)
            return Result(document=document, text="the fleet runs on the cluster; --stop ends it")
        on_stop(lambda: actor.stop.remote())
        status = _follow(actor, say)
        _remove(actor)
        record.write(fleet, "ray", {**details, "ended": status["ended"]})
        document |= {"ended": status["ended"], "error": status["error"] or None}
        return Result(
            document=document,
            text=f"ended: {status['ended']}",
            error=status["error"] or "",
            hint="see the logs of Ray: ray list tasks, ray logs task --id ID",
        )

    def processes(self, record: Record, document: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what the supervisor of the fleet says."""
        gone: dict[str, Any] = {
            "alive": False,
            "ended": document.get("ended"),
            "processes": [],
        }
        try:
            connect(document["address"])
        except RunError as error:
            return {**gone, "ended": gone["ended"] or str(error)}
        actor = _actor(record)
        if actor is None:
            return gone
        status = _status(actor)
        return {
            "alive": status["ended"] is None,
            "ended": status["error"] or status["ended"],
            "processes": status["processes"],
        }

    def stop(self, record: Record, document: Mapping[str, Any], say: Say) -> str:
        """Asks the supervisor to end the fleet, and waits for it."""
        connect(document["address"])
        actor = _actor(record)
        if actor is None:
            return "nothing of the fleet runs"
        say("every process saves and ends")
        actor.stop.remote()
        _follow(actor, say)
        _remove(actor)
        return "the fleet has ended"


def connect(address: str) -> None:
    """Connects this process to a cluster.

    Args:
        address: as for `ray.init`; "" for that of RAY_ADDRESS, or a cluster on this machine.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: there is no cluster, or it is of another version of Ray or Python.
    """
    ray = _ray()
    if ray.is_initialized():
        return
    _knock(address)
    # Ray takes SIGTERM to end this process at once.
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address or "auto",
            namespace=_NAMESPACE,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = str(error).strip().splitlines()[0]
        raise RunError(
            f"no Ray cluster can be reached: {said}",
            hint=_NO_CLUSTER,
        ) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _knock(address: str) -> None:
    """Raises `RunError` unless something listens at an address; Ray would try for minutes."""
    found = address or os.environ.get("RAY_ADDRESS", "")
    if found in ("", "auto"):
        # Where a cluster that was started here says so; its file may outlive it.
        folder = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray"
        try:
            found = (folder / "ray_current_cluster").read_text(encoding="utf-8").strip()
        except OSError:
            return
    host, _, port = found.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()
    except OSError as error:
        said = error.strerror or "no answer"
        raise RunError(
            f"no Ray cluster can be reached: nothing listens at {found} ({said})", hint=_NO_CLUSTER
        ) from None


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtraError(
            "--on ray needs Ray, which is not installed", hint='pip install "selfplay-jax[ray]"'
        ) from None
    return ray


def _alive_nodes() -> list[dict[str, Any]]:
    return [node for node in _ray().nodes() if node["Alive"]]


def _available() -> dict[str, float]:
    return dict(_ray().available_resources())


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


def _look_at_nodes(nodes: Sequence[Mapping[str, Any]], fleet: Fleet) -> None:
    """Raises unless every node has this selfplay and sees the run."""
    with _marker(fleet.run) as marker:
        answers = [_answer(node, marker) for node in nodes]
    check_nodes(answers, fleet)


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


def _answer(node: Mapping[str, Any], marker: str | None) -> dict[str, Any]:
    ray = _ray()
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


def _shipped(fleet: Fleet) -> tuple[dict[str, str], Fleet]:
    """Returns the file of the game for the nodes, and the fleet that finds it there by its name."""
    file = game_file(fleet.game)
    if file is None:
        return {}, fleet
    name = file[0].name
    shipped = dataclasses.replace(fleet, game=f"{name}{file[1]}")
    return {name: Path(file[0]).read_text(encoding="utf-8")}, shipped


def _on_head(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the options that place an actor on the head of the cluster, which lives longest."""
    # By its resource: a soft affinity for the node does not hold for actors without cores.
    there = any(_HEAD in node["Resources"] for node in nodes)
    return {"resources": {_HEAD: 0.001}} if there else {}


def _name(record: Record) -> str:
    return f"fleet {record.name}"


def _actor(record: Record) -> Any:
    try:
        return _ray().get_actor(_name(record), namespace=_NAMESPACE)
    except ValueError:
        return None


def _status(actor: Any, after: int = 0) -> dict[str, Any]:
    """Returns what the supervisor says; waits while Ray starts it, also on another node."""
    ray = _ray()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return dict(ray.get(actor.status.remote(after), timeout=_PATIENCE_SECONDS))
        except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError) as error:
            if time.monotonic() > deadline:
                said = str(error).strip().splitlines()[0]
                raise RunError(
                    f"the supervisor of the fleet does not answer: {said}", hint="see ray status"
                ) from None
            time.sleep(_LOOK_SECONDS)


def _follow(actor: Any, say: Say) -> dict[str, Any]:
    """Shows what the supervisor says until the fleet has ended."""
    shown = 0
    while True:
        status = _status(actor, shown)
        for text in status["said"]:
            say(text)
        shown += len(status["said"])
        if status["ended"] is not None:
            return status
        time.sleep(_LOOK_SECONDS)


def _remove(actor: Any) -> None:
    _ray().kill(actor)
