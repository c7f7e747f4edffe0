"""Kubernetes: every overlay as kustomize builds it, and the fields that matter in it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from selfplay.fleet.fleet import ROLES
from selfplay.registry import GameSpec
from tests.deploy.files import (
    DEPLOY,
    ROOT,
    compose,
    emulated,
    kubectl_kustomize,
    kustomized,
    overlay_with,
    pods,
    program,
)

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


@pytest.fixture(params=OVERLAYS)
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> list[dict[str, Any]]:
    """The resources of an overlay with all its components."""
    return kustomized(overlay_with(tmp_path, request.param))


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
@pytest.mark.parametrize("components", [False, True])
def test_the_real_kustomize_agrees(overlay: str, components: bool, tmp_path: Path) -> None:
    if program("kubectl") is None:
        pytest.skip("kubectl is not installed")
    folder = DEPLOY / "kubernetes" / "overlays" / overlay
    if components:
        folder = overlay_with(tmp_path, overlay)

    def by_name(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(resources, key=lambda one: (one["kind"], one["metadata"]["name"]))

    assert by_name(emulated(folder)) == by_name(kubectl_kustomize(folder))


def test_kubernetes_own_schemas_agree(whole: list[dict[str, Any]]) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    for one in whole:
        validator.validate(one, validator.latest_version(), strict=True)


def test_pods_are_restricted(whole: list[dict[str, Any]]) -> None:
    assert {*ROLES, "worker-gpu", "serve", "tensorboard", "prometheus", "grafana"} <= pods(
        whole
    ).keys()
    for pod in pods(whole).values():
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
        assert {"cpu", "memory"} <= resources["limits"].keys()


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
        assert mounts == {
            "runs": "/runs",
            "cache": "/cache",
            "tmp": "/tmp",
            "games": "/games",
        }
        assert volumes.keys() == mounts.keys()
        claim = volumes["runs"].get("persistentVolumeClaim", {}).get("claimName")
        assert (claim in claims) == (overlay == "volume")
    for one in resources:
        if one["kind"] == "PersistentVolumeClaim":
            assert one["spec"]["accessModes"] == ["ReadWriteMany"]
            # The default class of most clusters cannot.
            assert one["spec"]["storageClassName"]


def test_every_mount_has_its_volume_and_every_map_exists(whole: list[dict[str, Any]]) -> None:
    maps = {one["metadata"]["name"] for one in whole if one["kind"] == "ConfigMap"}
    workloads = [one for one in whole if one["kind"] in ("Deployment", "StatefulSet")]
    for one in workloads:
        pod = one["spec"]["template"]["spec"]
        claims = one["spec"].get("volumeClaimTemplates", ())
        own = pod.get("volumes", ())
        volumes = {one["name"] for one in (*own, *(claim["metadata"] for claim in claims))}
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        for volume in own:
            source = volume.get("configMap", {})
            assert source.get("optional") or source.get("name") in maps or not source
    runs = {
        name: next(v for v in pod["volumes"] if v["name"] == "runs")
        for name, pod in pods(whole).items()
        if name not in ("prometheus", "grafana", "redis")
    }
    # The same volume for all of them, GPU workers and TensorBoard too.
    assert len({str(volume) for volume in runs.values()}) == 1


def test_gpus_are_asked_for_by_components_alone(whole: list[dict[str, Any]]) -> None:
    for name, pod in pods(whole).items():
        (container,) = pod["containers"]
        asks = "nvidia.com/gpu" in container["resources"]["limits"]
        assert asks == (name in ("trainer", "worker-gpu"))
        # Images of their own name, so that setting that of the others does not replace it.
        assert ("-cuda12" in container["image"]) == asks
        if asks:
            assert {"key": "nvidia.com/gpu", "operator": "Exists"} in pod["tolerations"]
    assert not any(
        "nvidia.com/gpu" in pod["containers"][0]["resources"]["limits"]
        for pod in pods(kustomized("bucket")).values()
    )


def test_prometheus_finds_every_process_by_a_headless_service(whole: list[dict[str, Any]]) -> None:
    settings = named(whole, "ConfigMap", "prometheus")["data"]["prometheus.yml"]
    # That of the compose file, word for word.
    assert settings == (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    (job,) = yaml.safe_load(settings)["scrape_configs"]
    (names,) = [one["names"] for one in job["dns_sd_configs"]]
    found = set()
    templates = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in whole
        if one["kind"] in ("Deployment", "StatefulSet")
    }
    for name in names:
        service = named(whole, "Service", name)["spec"]
        assert service["clusterIP"] == "None"
        assert service["publishNotReadyAddresses"] is True
        found |= {
            workload
            for workload, labels in templates.items()
            if service["selector"].items() <= labels.items()
        }
    assert found == {*ROLES, "worker-gpu"}


def test_grafana_is_that_of_the_compose_file(whole: list[dict[str, Any]]) -> None:
    (container,) = pods(whole)["grafana"]["containers"]
    service = compose()["services"]["grafana"]
    assert container["image"] == service["image"]
    assert {one["name"]: one["value"] for one in container["env"]} == service["environment"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["dashboard"] == "/var/lib/grafana/dashboards"
    (source,) = yaml.safe_load(
        named(whole, "ConfigMap", "grafana-datasources")["data"]["prometheus.yaml"]
    )["datasources"]
    assert named(whole, "Service", "prometheus")["spec"]["ports"][0]["port"] == int(
        source["url"].rpartition(":")[2]
    )


def test_what_has_no_password_is_not_open_to_the_cluster(whole: list[dict[str, Any]]) -> None:
    for name in ("tensorboard", "grafana"):
        policy = named(whole, "NetworkPolicy", name)["spec"]
        assert policy["policyTypes"] == ["Ingress"]
        assert not policy.get("ingress")
    (rule,) = named(whole, "NetworkPolicy", "prometheus")["spec"]["ingress"]
    (source,) = rule["from"]
    assert source["podSelector"]["matchLabels"] == {"app.kubernetes.io/component": "grafana"}


def test_the_run_stays_below_what_redis_may_hold() -> None:
    resources = kustomized("redis")
    (container,) = pods(resources)["redis"]["containers"]
    options = dict(zip(container["args"][1::2], container["args"][2::2], strict=True))
    assert options["--maxmemory-policy"] == "noeviction"
    most = float(options["--maxmemory"].removesuffix("gb")) * 2**30
    memory = float(container["resources"]["limits"]["memory"].removesuffix("Gi")) * 2**30
    limit = named(resources, "ConfigMap", "selfplay-settings")["data"]
    assert int(limit["SELFPLAY_STORAGE__MAX_BYTES"]) < 0.8 * most
    assert most < 0.75 * memory


def test_a_game_of_a_config_map_is_found(tmp_path: Path) -> None:
    """Kubernetes mounts one as links into a folder that it replaces as a whole."""
    (tmp_path / "..2026_11_26").mkdir()
    shutil.copy(ROOT / "games" / "tic_tac_toe.py", tmp_path / "..2026_11_26" / "mygame.py")
    (tmp_path / "..data").symlink_to("..2026_11_26")
    (tmp_path / "mygame.py").symlink_to("..data/mygame.py")
    game = GameSpec(spec=f"{tmp_path / 'mygame.py'}:TicTacToe", options={}).make()
    assert game.name == "tic_tac_toe"
    for role in (*ROLES, "worker-gpu"):
        pod = pods(kustomized(overlay_with(tmp_path, "bucket")))[role]
        (volume,) = [one for one in pod["volumes"] if one["name"] == "games"]
        assert volume["configMap"] == {"name": "selfplay-games", "optional": True}


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
    # It compares with the request: a pod that uses more than that would look busy for ever.
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["cpu"] == container["resources"]["limits"]["cpu"]
    # Busy workers are the rule, so it goes step by step until they have to rest.
    (policy,) = scaler["behavior"]["scaleUp"]["policies"]
    assert policy["type"] == "Percent" and policy["value"] < 100
    assert scaler["behavior"]["scaleUp"]["stabilizationWindowSeconds"] >= policy["periodSeconds"]
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
def test_spot_nodes_are_for_what_loses_little(overlay: str) -> None:
    found = pods(kustomized(overlay))
    for part in ("tolerations", "affinity"):
        having = {name for name, pod in found.items() if part in pod}
        assert having == {"worker", "reanalyzer"}


@each
def test_there_are_no_reanalyzers_by_default_and_any_number_of_them(overlay: str) -> None:
    spec = named(kustomized(overlay), "Deployment", "reanalyzer")["spec"]
    assert spec["replicas"] == 0
    # With any other strategy a new one would wait until the old one has ended.
    assert "strategy" not in spec


@each
def test_only_the_metrics_of_processes_can_be_reached(overlay: str) -> None:
    resources = kustomized(overlay)
    policy = named(resources, "NetworkPolicy", "processes")["spec"]
    (chosen,) = policy["podSelector"]["matchExpressions"]
    assert set(chosen["values"]) == {*ROLES, "worker-gpu"}
    (rule,) = policy["ingress"]
    (port,) = rule["ports"]
    for role in ROLES:
        (container,) = pods(resources)[role]["containers"]
        assert port["port"] in [one["name"] for one in container["ports"]]


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
