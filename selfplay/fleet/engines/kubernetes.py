"""The engine `kubernetes`: the manifests of deploy/kubernetes, applied by kubectl."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.errors import ConfigError, RunError
from selfplay.fleet.backends import Backend, LaunchOptions, OnStop, Result, Say
from selfplay.fleet.engines.overlay import WORKER_ON_GPU, workload, write_overlay
from selfplay.fleet.engines.programs import call, check_program
from selfplay.fleet.fleet import ROLES, Fleet, Role
from selfplay.fleet.record import Record

_COMPONENTS = (*ROLES, WORKER_ON_GPU)
_HINT = "install kubectl, and choose a cluster by its configuration (kubectl config use-context)"
_REFUSED = 1


class Kubernetes(Backend):
    """Pods of a cluster."""

    sees_run = False
    takes = frozenset(
        {"namespace", "image", "trainer_image", "storage_class", "max_workers", "components"}
    )

    def shown(self, fleet: Fleet, options: LaunchOptions) -> str:
        """Returns the objects, as kustomize builds them."""
        with tempfile.TemporaryDirectory() as folder:
            overlay = _overlay(Path(folder) / "deploy", fleet, options)
            check_program("kubectl", hint=_HINT)
            return call(["kubectl", "kustomize", str(overlay)]).rstrip("\n")

    def launch(
        self, record: Record, fleet: Fleet, options: LaunchOptions, say: Say, on_stop: OnStop
    ) -> Result:
        """Applies the objects; once more for a fleet that runs, which changes it."""
        self.shown(fleet, options)
        space = options.namespace
        asked = ["get", "configmap", "selfplay", "--output=jsonpath={.data.SELFPLAY_RUN}"]
        found = _kubectl(space, *asked, "--ignore-not-found").strip()
        if found and found != fleet.run:
            raise RunError(
                f"the namespace {space} holds the fleet of {found} already",
                hint="choose another --namespace: one for each run",
            )
        record.make()
        overlay = _overlay(record.folder / "deploy", fleet, options)
        if fleet.trainer.acts_as_one:
            # Updated one after the other they would wait for ever: old and new ones do not join.
            _scale_to_0(space, [_kubectl_name(fleet.trainer)], also=(_REFUSED,))
        say(call(["kubectl", "apply", "--kustomize", str(overlay)]).rstrip("\n"))
        for role in fleet.roles:
            # After --stop nothing else wakes an autoscaler that has 0 to scale.
            words = (
                "scale",
                _kubectl_name(role),
                "--current-replicas=0",
                f"--replicas={role.count}",
            )
            _kubectl(space, *words, also=(_REFUSED,))
        details = {"namespace": space, "scaled_by": list(options.components), "ended": None}
        record.write(fleet, "kubernetes", details)
        text = f"applied to the namespace {space}; see kubectl -n {space} get pods"
        return Result(document={"run": fleet.run, "on": "kubernetes", **details}, text=text)

    def processes(self, record: Record, document: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the pods of all roles."""
        pods = _pods(document["namespace"])
        return {"alive": bool(pods), "ended": None, "processes": pods}

    def stop(self, record: Record, document: Mapping[str, Any], say: Say) -> str:
        """Scales everything that plays or learns to 0; the volume and the web board stay."""
        space = document["namespace"]
        if "backlog" in document["scaled_by"]:
            # Otherwise it would start workers again.
            _kubectl(space, "delete", "scaledobject", "worker", "--ignore-not-found")
        fleet = Fleet.from_dict(document["fleet"])
        _scale_to_0(space, [_kubectl_name(role) for role in fleet.roles])
        return f"scaled to 0; kubectl delete namespace {space} removes everything"


def _overlay(folder: Path, fleet: Fleet, options: LaunchOptions) -> Path:
    if fleet.game is None:
        raise ConfigError(
            "the game is not named, and the run of a cluster cannot be asked from here",
            hint="add --game GAME, also to resume a run",
        )
    return write_overlay(folder, fleet, fleet.game, options)


def _kubectl_name(role: Role) -> str:
    """Returns what runs the processes of a role, as kubectl names it."""
    kind, name = workload(role)
    return f"{kind.lower()}/{name}"


def _scale_to_0(namespace: str, names: Sequence[str], also: Sequence[int] = ()) -> None:
    """Asks all pods to save and end, and waits for them.

    Args:
        namespace: of the objects.
        names: what to scale, as kubectl names it.
        also: exit codes of kubectl that are no failure, besides 0.
    """
    _kubectl(namespace, "scale", "--replicas=0", *names, also=also)
    for name in names:
        words = ("rollout", "status", name, "--timeout=180s")
        _kubectl(namespace, *words, also=(_REFUSED,))


def _kubectl(namespace: str, *words: str, also: Sequence[int] = ()) -> str:
    check_program("kubectl", hint=_HINT)
    return call(["kubectl", "--namespace", namespace, *words], also=also)


def _pods(namespace: str) -> list[dict[str, Any]]:
    selector = f"app.kubernetes.io/component in ({','.join(_COMPONENTS)})"
    words = ("get", "pods", f"--selector={selector}", "--output=json")
    found = []
    for pod in json.loads(_kubectl(namespace, *words))["items"]:
        status = pod.get("status", {})
        containers = status.get("containerStatuses", [])
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        waits = [one.get("state", {}).get("waiting", {}).get("reason") for one in containers]
        found.append(
            {
                "name": pod["metadata"]["name"],
                "role": component.removesuffix("-gpu"),
                # Such as CrashLoopBackOff or ImagePullBackOff.
                "state": next(filter(None, waits), status.get("phase", "unknown").lower()),
                "job": pod.get("spec", {}).get("nodeName"),
                "restarts": sum(one.get("restartCount", 0) for one in containers),
                "log": f"kubectl -n {namespace} logs {pod['metadata']['name']}",
            }
        )
    return found
