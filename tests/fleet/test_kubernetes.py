"""A fleet on Kubernetes: the objects that kustomize builds of its overlay, and calls of kubectl."""

import itertools
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from selfplay.errors import ConfigError, RunError
from selfplay.fleet.backends import LaunchOptions, make_backend
from selfplay.fleet.engines.overlay import EXTRA, write_overlay
from selfplay.fleet.fleet import ROLES, VERSION_VARIABLE, Fleet
from selfplay.fleet.record import Record
from selfplay.fleet.request import make_fleet
from selfplay.fleet.status import fleet_status
from tests.deploy.files import (
    DEPLOY,
    ROOT,
    emulated,
    kubectl_kustomize,
    kustomized,
    pods,
    program,
)
from tests.deploy.test_commands import parsed
from tests.deploy.test_kubernetes import named

Build = Callable[..., list[dict[str, Any]]]


def make(run: str = "s3://bucket/r", **asked: Any) -> Fleet:
    whole = {"game": "othello", "workers": 3, "evaluators": 1, "environ": {}, **asked}
    return make_fleet(run=run, **whole)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Returns a function that returns the objects of a fleet."""
    numbers = itertools.count()

    def built(fleet: Fleet, **options: Any) -> list[dict[str, Any]]:
        assert fleet.game is not None
        # What kubectl builds of a folder is remembered.
        folder = tmp_path / f"deploy{next(numbers)}"
        return kustomized(write_overlay(folder, fleet, fleet.game, LaunchOptions(**options)))

    return built


def container(resources: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = pods(resources)[name]["containers"]
    assert isinstance(found, dict)
    return found


def test_what_every_process_runs_is_what_people_type(build: Build) -> None:
    fleet = make(
        options=["size=6"],
        preset="quick",
        settings=["trainer.updates=5"],
        worker_settings=["rollout.matches_per_device=9"],
        cpus=["worker=3", "trainer=6"],
        memory=["trainer=16G"],
        evaluators=0,
    )
    resources = build(fleet, image="reg:5000/a/selfplay:2", trainer_image="b/trainer")
    trainer, worker = (container(resources, name) for name in ("trainer", "worker"))
    values = parsed(trainer["args"])
    assert (values["run"], values["game_name"], values["preset"]) == (
        "s3://bucket/r", "othello", "quick",
    )  # fmt: skip
    assert (values["metrics_port"], values["log_format"]) == (9100, "json")
    assert trainer["resources"]["requests"] == {"cpu": "6", "memory": "16384Mi"}
    assert trainer["image"] == "b/trainer:latest"
    assert worker["args"] == fleet.command(fleet.worker, *EXTRA)
    assert worker["resources"]["requests"]["cpu"] == worker["resources"]["limits"]["cpu"] == "3"
    assert worker["image"] == "reg:5000/a/selfplay:2"
    for name in ("evaluator", "reanalyzer"):
        assert named(resources, "Deployment", name)["spec"]["replicas"] == 0
    scaler = named(resources, "HorizontalPodAutoscaler", "worker")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 3)
    # The web board and TensorBoard find the run, and every pod knows who launched it.
    data = named(resources, "ConfigMap", "selfplay")["data"]
    assert data == {"SELFPLAY_RUN": "s3://bucket/r", VERSION_VARIABLE: fleet.version}


@pytest.mark.parametrize("role", [*ROLES, "worker-gpu"])
def test_the_options_of_the_manifests_are_kept(role: str) -> None:
    folder = DEPLOY / "kubernetes"
    part = "components/gpu-worker/worker" if role == "worker-gpu" else f"base/{role}"
    workload = next(yaml.safe_load_all((folder / f"{part}.yaml").read_text()))
    args = workload["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args == [ROLES[role.removesuffix("-gpu")][0], *EXTRA]


def test_reanalyzers_run_beside_the_workers(build: Build) -> None:
    fleet = make(reanalyzers=2, cpus=["reanalyzer=3"], memory=["reanalyzer=6G"])
    resources = build(fleet, image="registry/selfplay:2", components=("monitoring",))
    assert named(resources, "Deployment", "reanalyzer")["spec"]["replicas"] == 2
    reanalyzer = container(resources, "reanalyzer")
    assert parsed(reanalyzer["args"])["run"] == fleet.run
    assert reanalyzer["image"] == "registry/selfplay:2"
    limits = {"cpu": "3", "memory": "6144Mi"}
    assert reanalyzer["resources"] == {"requests": limits, "limits": limits}
    # Prometheus asks each of them.
    settings = yaml.safe_load(named(resources, "ConfigMap", "prometheus")["data"]["prometheus.yml"])
    (discovery,) = settings["scrape_configs"][0]["dns_sd_configs"]
    assert "reanalyzer" in discovery["names"]
    assert named(resources, "Service", "reanalyzer")["spec"]["clusterIP"] == "None"


def test_a_trainer_of_several_hosts_is_a_stateful_set_of_as_many_pods(build: Build) -> None:
    fleet = make(trainer_hosts=3, cpus=["trainer=6"])
    resources = build(fleet)
    spec = named(resources, "StatefulSet", "trainer")["spec"]
    assert spec["replicas"] == 3
    # With the default policy trainer-1 would wait until trainer-0, which waits for it, is ready.
    assert spec["podManagementPolicy"] == "Parallel"
    trainer = container(resources, "trainer")
    # Kubernetes puts the variable in, here as in the pod trainer-2.
    (variable,) = trainer["env"]
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == (
        "metadata.labels['apps.kubernetes.io/pod-index']"
    )
    words = [word.replace(f"$({variable['name']})", "2") for word in trainer["args"]]
    values = parsed(words)
    assert (values["num_processes"], values["process_id"]) == (3, 2)
    # The first pod has its name by the headless service of the set, before it is ready too.
    host, _, port = str(values["coordinator"]).rpartition(":")
    assert host == f"trainer-0.{spec['serviceName']}" and 1024 < int(port) < 32768
    service = named(resources, "Service", spec["serviceName"])["spec"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    labels = spec["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"] == spec["selector"]
    # They reach each other at every port, and nothing else reaches them at more than the metrics.
    policy = named(resources, "NetworkPolicy", "trainer")["spec"]
    assert policy["podSelector"] == spec["selector"]
    assert policy["ingress"] == [{"from": [{"podSelector": spec["selector"]}]}]
    one = build(make())
    assert named(one, "StatefulSet", "trainer")["spec"]["replicas"] == 1
    assert "env" not in container(one, "trainer")
    assert not [word for word in container(one, "trainer")["args"] if "process" in word]
    assert ("NetworkPolicy", "trainer") not in {
        (each["kind"], each["metadata"]["name"]) for each in one
    }


def test_the_component_for_two_hosts_is_what_the_launcher_writes(build: Build) -> None:
    folder = DEPLOY / "kubernetes" / "components" / "trainer-hosts"
    (patch,) = yaml.safe_load((folder / "kustomization.yaml").read_text())["patches"]
    values = {
        one["path"].rpartition("/")[2]: one["value"] for one in yaml.safe_load(patch["patch"])
    }
    fleet = make(trainer_hosts=2)
    launched = container(build(fleet), "trainer")["args"]
    assert values["replicas"] == 2
    assert values["args"] == ["trainer", *launched[len(fleet.command(fleet.trainer)) :]]


def test_kubernetes_own_schemas_agree(build: Build) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    seen = []
    for run, storage in (
        ("s3://bucket/r", {}),
        ("redis://redis:6379/0/r", {}),
        ("/runs/r", {"storage_class": "fast"}),
    ):
        fleet = make(run, gpus=["trainer=2", "worker=1"], trainer_hosts=2, reanalyzers=1)
        resources = build(fleet, components=("monitoring",), **storage)
        for one in resources:
            if one not in seen:
                validator.validate(one, validator.latest_version(), strict=True)
                seen.append(one)
        claims = [one for one in resources if one["kind"] == "PersistentVolumeClaim"]
        assert [one["spec"]["storageClassName"] for one in claims].count("fast") == len(storage)
        assert ("redis" in pods(resources)) == run.startswith("redis://")
        assert {"prometheus", "grafana", "serve", "tensorboard"} <= pods(resources).keys()


def test_monitoring_brings_the_alerts_and_the_dashboard(build: Build) -> None:
    fleet = make("s3://bucket/r")
    for parts in (("monitoring",), ("backlog",)):
        resources = build(fleet, components=parts)
        rules = named(resources, "ConfigMap", "prometheus")["data"]["alerts.yml"]
        assert rules == (DEPLOY / "prometheus" / "alerts.yml").read_text()
        assert "selfplay.json" in named(resources, "ConfigMap", "grafana-dashboard")["data"]
    assert not [one for one in build(fleet) if one["metadata"]["name"] == "prometheus"]


def test_a_redis_elsewhere_is_not_started_here(build: Build) -> None:
    assert "redis" not in pods(build(make("redis://elsewhere:6379/0/r")))


def test_the_real_kustomize_agrees(tmp_path: Path) -> None:
    if program("kubectl") is None:
        pytest.skip("kubectl is not installed")
    fleet, options = (
        make(gpus=["trainer=1"], trainer_hosts=2),
        LaunchOptions(components=("backlog",)),
    )
    folder = write_overlay(tmp_path / "deploy", fleet, "othello", options)

    def by_name(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(resources, key=lambda one: (one["kind"], one["metadata"]["name"]))

    assert by_name(emulated(folder)) == by_name(kubectl_kustomize(folder))


def test_workers_on_gpus_take_the_place_of_those_on_cores(build: Build) -> None:
    resources = build(make(gpus=["trainer=2", "worker=1"]))
    assert "worker" not in pods(resources)
    kinds = {(one["kind"], one["metadata"]["name"]) for one in resources}
    assert not {("HorizontalPodAutoscaler", "worker"), ("PodDisruptionBudget", "worker")} & kinds
    assert named(resources, "Deployment", "worker-gpu")["spec"]["replicas"] == 3
    for name, number in (("trainer", 2), ("worker-gpu", 1)):
        assert container(resources, name)["resources"]["limits"]["nvidia.com/gpu"] == number
    # Prometheus still finds them.
    assert ("Service", "worker") in kinds


def test_workers_are_scaled_by_the_backlog(build: Build) -> None:
    resources = build(make(), components=("backlog",), max_workers=40)
    kinds = [one["kind"] for one in resources]
    assert "HorizontalPodAutoscaler" not in kinds, "two autoscalers work against each other"
    spec = named(resources, "ScaledObject", "worker")["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "worker",
    }  # fmt: skip
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (3, 40)
    (trigger,) = spec["triggers"]
    assert (trigger["type"], trigger["metricType"]) == ("prometheus", "AverageValue")
    # The server and the metric are there.
    address = re.fullmatch(r"http://(\w+):(\d+)", trigger["metadata"]["serverAddress"])
    assert address is not None
    (port,) = named(resources, "Service", address[1])["spec"]["ports"]
    assert port["port"] == int(address[2])
    metrics = set(re.findall(r"selfplay_\w+", trigger["metadata"]["query"]))
    shown = (ROOT / "docs" / "monitoring.md").read_text()
    assert metrics == {"selfplay_waiting_seconds_total"} and all(m in shown for m in metrics)
    policy = named(resources, "NetworkPolicy", "prometheus-keda")["spec"]
    (rule,) = policy["ingress"]
    (container_port,) = container(resources, "prometheus")["ports"]
    assert rule["ports"] == [{"port": container_port["name"]}]
    chosen = policy["podSelector"]["matchLabels"].items()
    labels = named(resources, "StatefulSet", "prometheus")["spec"]["template"]["metadata"]["labels"]
    assert chosen <= labels.items()


def test_a_namespace_of_its_own(build: Build) -> None:
    resources = build(make(), namespace="second")
    spaces = {one["metadata"].get("namespace") for one in resources if one["kind"] != "Namespace"}
    assert spaces == {"second"}
    args = container(resources, "serve")["args"]
    assert "--allow-host=serve.second.svc.cluster.local" in args
    base = yaml.safe_load_all((DEPLOY / "kubernetes" / "base" / "serve.yaml").read_text())
    before = next(base)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [word.replace("second", "selfplay") for word in args] == before


def test_the_file_of_a_game_is_shipped(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("class Mine: ...\n")
    resources = build(make(game=f"{file}:Mine"))
    assert named(resources, "ConfigMap", "selfplay-games")["data"] == {"mine.py": file.read_text()}
    assert parsed(container(resources, "trainer")["args"])["game_name"] == "/games/mine.py:Mine"
    file.write_text("#" * 2**21)
    with pytest.raises(ConfigError, match="more than 1 MiB"):
        build(make(game=f"{file}:Mine"))


@pytest.mark.parametrize(
    ("run", "asked", "options", "message"),
    [
        ("/home/me/runs/r", {}, {}, "is on this machine, which pods cannot see"),
        ("s3://b/r", {"gpus": ["worker=0.5"]}, {}, "worker=0.5, but Kubernetes gives whole GPUs"),
        ("s3://b/r", {"gpus": ["reanalyzer=1"]}, {}, "whole GPUs to trainers and workers"),
        ("s3://b/r", {"workers": 0}, {}, "--workers is 0 and --max-workers is 0"),
        ("s3://b/r", {}, {"max_workers": 2}, "--workers is 3 and --max-workers is 2"),
    ],
)
def test_what_cannot_be_is_refused(
    run: str, asked: dict[str, Any], options: dict[str, Any], message: str, build: Build
) -> None:
    with pytest.raises((ConfigError, RunError), match=message) as caught:
        build(make(run, **asked), **options)
    assert caught.value.hint


KUBECTL = """\
import json, os, pathlib, sys

words = [word for word in sys.argv[1:] if word != "--namespace"]
folder = pathlib.Path(os.environ["FOLDER"])
with (folder / "calls").open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
answers = {"get pods": (folder / "pods.json"), "get configmap": (folder / "holds")}
if "kustomize" in words[:1]:
    print("kind: List")
elif os.environ.get("NO_CLUSTER"):
    sys.exit("E1 attempt 1\\nThe connection to the server localhost:8080 was refused")
else:
    for name, file in answers.items():
        if name in " ".join(sys.argv[1:]) and file.exists():
            print(file.read_text(), end="")
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder of a stand-in for kubectl."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("FOLDER", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "kubectl").write_text(f"#!{sys.executable}\n{KUBECTL}")
    (tmp_path / "kubectl").chmod(0o755)
    pod = {
        "metadata": {"name": "worker-a", "labels": {"app.kubernetes.io/component": "worker"}},
        "spec": {"nodeName": "node1"},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
            ],
        },
    }
    (tmp_path / "pods.json").write_text(json.dumps({"items": [pod]}))
    return tmp_path


def launch(fleet: Fleet, **options: Any) -> Any:
    backend = make_backend("kubernetes")
    return backend.launch(
        Record(fleet.run), fleet, LaunchOptions(**options), lambda text: None, lambda stop: None
    )


def test_launch_applies_and_stop_scales_to_nothing(cluster: Path) -> None:
    assert launch(make(reanalyzers=2)).document["namespace"] == "selfplay"
    status = fleet_status("s3://bucket/r")
    assert (status["on"], status["alive"], status["heartbeats"]) == ("kubernetes", True, [])
    (one,) = status["processes"]
    assert (one["role"], one["state"], one["restarts"]) == ("worker", "CrashLoopBackOff", 2)
    record = Record("s3://bucket/r")
    make_backend("kubernetes").stop(record, record.read() or {}, print)
    calls = [json.loads(line) for line in (cluster / "calls").read_text().splitlines()]
    (applied,) = [call for call in calls if call[0] == "apply"]
    assert applied[1] == "--kustomize" and (Path(applied[2]) / "kustomization.yaml").is_file()
    scaled = [call[2:] for call in calls if call[2:3] == ["scale"]]
    # One trainer is updated by Kubernetes.
    assert calls.index(applied) < calls.index(["--namespace", "selfplay", *scaled[0]])
    for name, count in (("worker", 3), ("reanalyzer", 2)):
        woken = ["scale", f"deployment/{name}", "--current-replicas=0", f"--replicas={count}"]
        assert woken in scaled
    others = [f"deployment/{name}" for name in ("worker", "evaluator", "reanalyzer")]
    assert scaled[-1] == ["scale", "--replicas=0", "statefulset/trainer", *others]
    (asked,) = [call for call in calls if "pods" in call]
    assert "(trainer,worker,evaluator,reanalyzer,worker-gpu)" in asked[4]


def test_pods_of_a_trainer_of_several_are_not_updated_one_by_one(cluster: Path) -> None:
    launch(make(trainer_hosts=2))
    calls = [json.loads(line) for line in (cluster / "calls").read_text().splitlines()]
    applied = next(index for index, call in enumerate(calls) if call[0] == "apply")
    # They save and end before the new ones come.
    assert [call[2:5] for call in calls[applied - 2 : applied]] == [
        ["scale", "--replicas=0", "statefulset/trainer"],
        ["rollout", "status", "statefulset/trainer"],
    ]
    woken = ["scale", "statefulset/trainer", "--current-replicas=0", "--replicas=2"]
    assert woken in [call[2:] for call in calls[applied:]]


def test_a_namespace_holds_one_run(cluster: Path) -> None:
    (cluster / "holds").write_text("s3://bucket/other")
    with pytest.raises(RunError, match="holds the fleet of s3://bucket/other already") as caught:
        launch(make())
    assert "--namespace" in caught.value.hint


def test_without_a_cluster_it_says_so(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_CLUSTER", "1")
    with pytest.raises(RunError, match=r"kubectl refuses: The connection to the server .*refused"):
        launch(make())
    monkeypatch.setenv("PATH", str(cluster / "empty"))
    with pytest.raises(RunError, match="kubectl is not on the PATH"):
        launch(make())


def test_print_shows_what_kustomize_builds() -> None:
    if program("kubectl") is None:
        pytest.skip("kubectl is not installed")
    shown = make_backend("kubernetes").shown(make(), LaunchOptions())
    resources = list(yaml.safe_load_all(shown))
    assert container(resources, "trainer")["args"][:3] == ["trainer", "--run", "s3://bucket/r"]
