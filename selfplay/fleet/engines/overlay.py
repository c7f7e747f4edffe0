"""An overlay of kustomize on deploy/kubernetes: the deployment of one fleet."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selfplay.errors import ConfigError, RunError
from selfplay.fleet.backends import LaunchOptions
from selfplay.fleet.checks import game_file
from selfplay.fleet.engines.deploy_files import deploy_folder
from selfplay.fleet.fleet import VERSION_VARIABLE, Fleet, Role
from selfplay.store.place import is_remote, local_path, scheme_of

EXTRA = ("--log-format=json", "--metrics-port=9100", "--metrics-host=0.0.0.0")
"""Options of each process in the manifests, besides those of `Fleet.command`."""

WORKER_ON_GPU = "worker-gpu"
"""The Deployment of workers with GPUs, which takes the place of the one of workers without."""

_COORDINATOR = "trainer-0.trainer:9000"
_PROCESS_ID = "$(TRAINER_PROCESS_ID)"
"""A variable of deploy/kubernetes/components/trainer-hosts, which Kubernetes puts in."""

_MOUNT = Path("/runs")
_GAMES = "/games"
_LARGEST_GAME = 2**20


def write_overlay(folder: Path, fleet: Fleet, game: str, options: LaunchOptions) -> Path:
    """Writes the manifests of a fleet; returns the folder for `kubectl apply -k`.

    Args:
        folder: gets copies of the manifests in deploy/, and the overlay.
        fleet: what runs.
        game: of the run, a text for the option --game of the trainer.
        options: what was asked.

    Raises:
        ConfigError: something that Kubernetes cannot do is asked for.
        RunError: pods cannot see the run.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("kubernetes", "prometheus", "grafana"):
        shutil.copytree(deploy_folder() / part, folder / part)
    overlay = folder / "kubernetes" / "overlays" / "fleet"
    overlay.mkdir()
    resources = [f"../{_base(fleet.run)}"]
    file = game_file(game)
    if file is not None:
        (overlay / "games.json").write_text(json.dumps(_games(file[0])), encoding="utf-8")
        resources.append("games.json")
        game = f"{_GAMES}/{file[0].name}{file[1]}"
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": options.namespace,
        "resources": resources,
        "components": _components(fleet, options),
        "patches": [
            {
                "target": {"kind": kind, "name": name},
                "patch": json.dumps([{"op": op, "path": path, "value": value}]),
            }
            for kind, name, op, path, value in _patches(fleet, game, options)
        ],
        "images": _images(options),
    }
    # JSON is YAML.
    text = json.dumps({key: value for key, value in document.items() if value != []}, indent=1)
    (overlay / "kustomization.yaml").write_text(text + "\n", encoding="utf-8")
    return overlay


def workload(role: Role) -> tuple[str, str]:
    """Returns kind and name of the object that runs the processes of a role."""
    if role.name == "worker" and role.gpus:
        return "Deployment", WORKER_ON_GPU
    return "StatefulSet" if role.name == "trainer" else "Deployment", role.name


def _base(run: str) -> str:
    """Returns the overlay for the store of a run."""
    scheme = scheme_of(run)
    if scheme in ("s3", "gs"):
        return "bucket"
    if scheme in ("redis", "rediss"):
        # The server in the cluster comes with its overlay; any other is as far away as a bucket.
        return "redis" if run.startswith("redis://redis:6379/") else "bucket"
    path = local_path(run)
    if is_remote(run) or path is None or not path.is_relative_to(_MOUNT):
        raise RunError(
            f"{run} is on this machine, which pods cannot see",
            hint="use a bucket (s3://..., gs://...), redis://redis:6379/0/NAME, or /runs/NAME for "
            "the volume that all pods mount",
        )
    return "volume"


def _games(file: Path) -> dict[str, Any]:
    """Returns the ConfigMap that takes the file of a game to every pod."""
    text = file.read_text(encoding="utf-8")
    if len(text.encode()) > _LARGEST_GAME:
        raise ConfigError(
            f"{file} has more than 1 MiB, the most that a ConfigMap holds",
            hint="put the game into an image instead: FROM selfplay, then COPY games /games",
        )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "selfplay-games"},
        "data": {file.name: text},
    }


def _components(fleet: Fleet, options: LaunchOptions) -> list[str]:
    found = []
    if fleet.trainer.acts_as_one:
        found.append("../../components/trainer-hosts")
    if _gpus(fleet.trainer):
        found.append("../../components/gpu-trainer")
    if _gpus(fleet.worker):
        found += ["../../components/gpu-worker", "../../components/no-cpu-workers"]
    if "monitoring" in options.components or "backlog" in options.components:
        found += ["../../../prometheus", "../../../grafana"]
    if "backlog" in options.components:
        found.append("../../components/backlog-scaler")
    return found


def _patches(
    fleet: Fleet, game: str, options: LaunchOptions
) -> Iterator[tuple[str, str, str, str, Any]]:
    """Yields kind, name, operation, path and value of what differs from the manifests."""
    data = "/data"
    yield "ConfigMap", "selfplay", "replace", f"{data}/SELFPLAY_RUN", fleet.run
    yield "ConfigMap", "selfplay", "add", f"{data}/{VERSION_VARIABLE}", fleet.version
    yield "ConfigMap", "selfplay-settings", "replace", f"{data}/SELFPLAY_GAME", game
    # The settings are in the command line of the trainer, which overrides the ConfigMap.
    for role in fleet.roles:
        gpus = _gpus(role)
        kind, name = workload(role)
        pod = "/spec/template/spec/containers/0"
        words = fleet.command(role, *EXTRA, *fleet.group_options(role, _COORDINATOR, _PROCESS_ID))
        if role is fleet.trainer:
            words = [word if word != fleet.game else game for word in words]
        yield kind, name, "replace", f"{pod}/args", words
        # As many cores as requested: a process uses all that it is allowed.
        for part in ("requests", "limits"):
            if role.cpus is not None:
                yield kind, name, "replace", f"{pod}/resources/{part}/cpu", str(role.cpus)
            if role.memory is not None:
                size = f"{-(-role.memory // 2**20)}Mi"
                yield kind, name, "replace", f"{pod}/resources/{part}/memory", size
        if gpus:
            yield kind, name, "replace", f"{pod}/resources/limits/nvidia.com~1gpu", gpus
        # An autoscaler sets the number of workers without GPUs.
        if name != "worker":
            yield kind, name, "replace", "/spec/replicas", role.count
    if not _gpus(fleet.worker):
        yield from _numbers(fleet, options)
    if options.storage_class:
        path = "/spec/storageClassName"
        yield "PersistentVolumeClaim", "runs", "replace", path, options.storage_class
    if options.namespace != "selfplay":
        allowed = [f"serve.{options.namespace}{end}" for end in ("", ".svc", ".svc.cluster.local")]
        words = ["serve", "--wait", "--host=0.0.0.0", "--port=8765", "--allow-host=serve"]
        args = [*words, *(f"--allow-host={host}" for host in allowed)]
        yield "Deployment", "serve", "replace", "/spec/template/spec/containers/0/args", args


def _numbers(fleet: Fleet, options: LaunchOptions) -> Iterator[tuple[str, str, str, str, Any]]:
    """Yields how many workers the autoscaler may have."""
    least, most = fleet.worker.count, options.max_workers or fleet.worker.count
    if not 1 <= least <= most:
        raise ConfigError(
            f"--workers is {least} and --max-workers is {most}, but must be 1 or more, in this "
            "order",
            hint="--workers is the least number of them",
        )
    if "backlog" in options.components:
        yield "ScaledObject", "worker", "replace", "/spec/minReplicaCount", least
        yield "ScaledObject", "worker", "replace", "/spec/maxReplicaCount", most
    else:
        yield "HorizontalPodAutoscaler", "worker", "replace", "/spec/minReplicas", least
        yield "HorizontalPodAutoscaler", "worker", "replace", "/spec/maxReplicas", most


def _gpus(role: Role) -> int:
    """Returns the GPUs of each process of a role."""
    gpus = role.gpus or 0.0
    if gpus != int(gpus) or (gpus and role.name not in ("trainer", "worker")):
        raise ConfigError(
            f"--gpus is {role.name}={gpus:g}, but Kubernetes gives whole GPUs to trainers and "
            "workers",
            hint="ask for whole GPUs, or leave out --gpus",
        )
    return int(gpus)


def _images(options: LaunchOptions) -> list[dict[str, str]]:
    found = []
    for names, image in (
        (("selfplay", "selfplay-cuda12"), options.image),
        (("selfplay-trainer", "selfplay-trainer-cuda12"), options.trainer_image),
    ):
        if image:
            # A port before the first slash is no tag.
            head, slash, last = image.rpartition("/")
            name, _, tag = last.partition(":")
            for one in names:
                new = {"newName": f"{head}{slash}{name}", "newTag": tag or "latest"}
                found.append({"name": one, **new})
    return found
