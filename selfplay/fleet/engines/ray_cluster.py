"""The engine `ray`: tasks of a Ray cluster, watched by an actor."""

import dataclasses
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.errors import RunError
from selfplay.fleet.backends import Backend, LaunchOptions, OnStop, Result, Say
from selfplay.fleet.budget import Budget
from selfplay.fleet.checks import check_no_trainer, game_file
from selfplay.fleet.engines.ray_actor import FleetActor
from selfplay.fleet.engines.ray_checks import (
    alive_nodes,
    check_resources,
    free_resources,
    look_at_nodes,
    ray_module,
)
from selfplay.fleet.engines.ray_tasks import resources
from selfplay.fleet.fleet import Fleet
from selfplay.fleet.record import Record

_NAMESPACE = "selfplay"
_PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 1.0
_KNOCK_SECONDS = 10.0
_NO_CLUSTER = "start one (ray start --head), or name it: --address HOST:6379 or ray://HOST:10001"
_HEAD = "node:__internal_head__"


class RayCluster(Backend):
    """Tasks of Ray."""

    takes = frozenset({"detach", "max_cost", "max_restarts", "address", "pending"})

    def shown(self, fleet: Fleet, options: LaunchOptions) -> str:
        """Returns each command line with the resources that Ray sets aside for it."""
        lines = []
        for one in fleet.processes():
            asked = " ".join(f"{name}={value:g}" for name, value in resources(one.role).items())
            group = fleet.group_options(one.role, "HOST:PORT", one.index)
            words = fleet.command(one.role, *group)
            lines.append(f"{one.name}: {asked}: selfplay {' '.join(words)}")
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
        nodes = alive_nodes()
        look_at_nodes(nodes, fleet)
        if not options.pending:
            check_resources(fleet, [node["Resources"] for node in nodes], free_resources)
        check_no_trainer(fleet.run)
        if options.max_cost is not None:
            Budget(fleet, options.max_cost, say)
        games, shipped = _shipped(fleet)
        actor = (
            ray_module()
            .remote(FleetActor)
            .options(
                name=_name(record),
                namespace=_NAMESPACE,
                lifetime="detached",
                num_cpus=0,
                max_restarts=-1,
                **_on_head(nodes),
            )
            .remote(shipped.to_dict(), games, options.max_restarts, options.max_cost)
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
    ray = ray_module()
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
        return ray_module().get_actor(_name(record), namespace=_NAMESPACE)
    except ValueError:
        return None


def _status(actor: Any, after: int = 0) -> dict[str, Any]:
    """Returns what the supervisor says; waits while Ray starts it, also on another node."""
    ray = ray_module()
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
    ray_module().kill(actor)
