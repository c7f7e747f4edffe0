"""Kubernetes: every overlay as kustomize will build it, and the fields that matter in it."""

from typing import Any

import pytest

from tests.deploy.files import DEPLOY, ROLES, kustomized, pods

OVERLAYS = sorted(path.name for path in (DEPLOY / "kubernetes" / "overlays").iterdir())
API_VERSIONS = {
    "ConfigMap": "v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Namespace": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PersistentVolumeClaim": "v1",
    "PodDisruptionBudget": "policy/v1",
    "Service": "v1",
    "ServiceAccount": "v1",
    "StatefulSet": "apps/v1",
}

each = pytest.mark.parametrize("overlay", OVERLAYS)


def named(resources: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Returns one resource."""
    (found,) = [one for one in resources if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def test_there_are_overlays_for_every_store() -> None:
    assert OVERLAYS == ["bucket", "redis", "volume"]
    runs = {
        overlay: named(kustomized(overlay), "ConfigMap", "selfplay")["data"]["SELFPLAY_RUN"]
        for overlay in OVERLAYS
    }
    assert runs["volume"].startswith("/runs/")
    assert runs["bucket"].startswith("s3://")
    assert runs["redis"].startswith("redis://redis:6379/")


@each
def test_resources_are_what_they_say(overlay: str) -> None:
    resources = kustomized(overlay)
    names = [(one["kind"], one["metadata"]["name"]) for one in resources]
    assert len(set(names)) == len(names)
    for one in resources:
        assert one["apiVersion"] == API_VERSIONS[one["kind"]]
    for kind, role in (("StatefulSet", "trainer"), ("Deployment", "worker")):
        assert (kind, role) in names
    for one in resources:
        if one["kind"] in ("Deployment", "StatefulSet"):
            selected = one["spec"]["selector"]["matchLabels"]
            assert selected.items() <= one["spec"]["template"]["metadata"]["labels"].items()
            assert selected == {"app.kubernetes.io/component": one["metadata"]["name"]}


@each
def test_kubernetes_own_schemas_agree(overlay: str) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    for one in kustomized(overlay):
        validator.validate(one, validator.latest_version(), strict=True)


@each
def test_pods_are_restricted(overlay: str) -> None:
    for pod in pods(kustomized(overlay)).values():
        assert pod["automountServiceAccountToken"] is False
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True and context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys()
        assert "memory" in resources["limits"]


@each
def test_everything_that_is_mounted_is_there(overlay: str) -> None:
    resources = kustomized(overlay)
    claims = {
        one["metadata"]["name"] for one in resources if one["kind"] == "PersistentVolumeClaim"
    }
    for role in ROLES:
        pod = pods(resources)[role]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
        assert mounts == {"runs": "/runs", "cache": "/cache", "tmp": "/tmp"}
        assert volumes.keys() == mounts.keys()
        claim = volumes["runs"].get("persistentVolumeClaim", {}).get("claimName")
        assert (claim in claims) == (overlay == "volume")
    for one in resources:
        if one["kind"] == "PersistentVolumeClaim":
            assert one["spec"]["accessModes"] == ["ReadWriteMany"]


@each
def test_probes_ask_the_port_that_the_process_opens(overlay: str) -> None:
    for role in ROLES:
        (container,) = pods(kustomized(overlay))[role]["containers"]
        (port,) = container["ports"]
        assert f"--metrics-port={port['containerPort']}" in container["args"]
        # A probe comes from outside the pod.
        assert "--metrics-host=0.0.0.0" in container["args"]
        paths = {
            name: container[name]["httpGet"]["path"]
            for name in ("startupProbe", "livenessProbe", "readinessProbe")
        }
        assert paths == {
            "startupProbe": "/healthz",
            "livenessProbe": "/healthz",
            "readinessProbe": "/readyz",
        }
        assert {container[name]["httpGet"]["port"] for name in paths} == {port["name"]}


@each
def test_one_trainer_and_any_number_of_workers(overlay: str) -> None:
    resources = kustomized(overlay)
    trainer = named(resources, "StatefulSet", "trainer")
    assert trainer["spec"]["replicas"] == 1
    assert named(resources, "Service", trainer["spec"]["serviceName"])["spec"]["clusterIP"] == (
        "None"
    )
    worker = named(resources, "Deployment", "worker")
    # The autoscaler decides; a number here would undo its decision at every apply.
    assert "replicas" not in worker["spec"]
    scaler = named(resources, "HorizontalPodAutoscaler", "worker")["spec"]
    assert scaler["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "worker",
    }
    assert scaler["minReplicas"] < scaler["maxReplicas"]
    budget = named(resources, "PodDisruptionBudget", "worker")["spec"]
    assert budget["selector"] == worker["spec"]["selector"]
    # A budget that allows nothing would block the draining of nodes.
    assert budget["maxUnavailable"] == "50%"


@each
def test_processes_have_time_to_leave(overlay: str) -> None:
    found = pods(kustomized(overlay))
    # They leave within 10 seconds of SIGTERM; the trainer may write a checkpoint.
    assert found["worker"]["terminationGracePeriodSeconds"] >= 30
    assert found["trainer"]["terminationGracePeriodSeconds"] >= 60


@each
def test_spot_nodes_are_for_workers_only(overlay: str) -> None:
    found = pods(kustomized(overlay))
    assert found["worker"]["tolerations"]
    assert not any("tolerations" in found[role] for role in ("trainer", "evaluator"))


@each
def test_secrets_are_not_in_the_files(overlay: str) -> None:
    resources = kustomized(overlay)
    assert "Secret" not in {one["kind"] for one in resources}
    for role in ROLES:
        (container,) = pods(resources)[role]["containers"]
        sources = container["envFrom"]
        assert {"secretRef": {"name": "selfplay-store", "optional": True}} in sources
        maps = [one["configMapRef"]["name"] for one in sources if "configMapRef" in one]
        # The trainer alone reads settings: it dictates them to the others.
        assert maps == ["selfplay", *(["selfplay-settings"] if role == "trainer" else [])]
