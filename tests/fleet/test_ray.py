"""A fleet on Ray: what is refused, and (slow) a cluster of two nodes with kills."""

import functools
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from selfplay.errors import ConfigError, MissingExtraError, RunError
from selfplay.fleet.backends import LaunchOptions, make_backend
from selfplay.fleet.engines.addresses import free_address
from selfplay.fleet.engines.ray_checks import check_nodes, check_resources
from selfplay.fleet.engines.ray_cluster import connect
from selfplay.fleet.engines.ray_metrics import RayMetrics
from selfplay.fleet.fleet import Fleet
from selfplay.fleet.processes import ProcessId
from selfplay.fleet.request import make_fleet
from selfplay.run.heartbeats import write_heartbeat
from selfplay.run.usage import hours_by_role
from tests.conftest import CACHE
from tests.deploy.files import DEPLOY, ROOT
from tests.deploy.test_commands import parsed
from tests.fleet.test_local import HERE, wait_for


def make(**asked: Any) -> Fleet:
    whole = {"game": "tic_tac_toe", "workers": 2, "evaluators": 1, "environ": {}, **asked}
    return make_fleet(run="/shared/r", **whole)


def test_too_few_resources_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfplay.fleet.engines.ray_checks._FREED_SECONDS", -1.0)
    fleet = make(cpus=["worker=4"], gpus=["trainer=1"], memory=["worker=4G"])
    node = {"CPU": 8.0, "GPU": 1.0, "memory": 32e9}

    def check(*nodes: dict[str, float]) -> None:
        free: dict[str, float] = {}
        for one in nodes:
            free = {name: free.get(name, 0.0) + number for name, number in one.items()}
        check_resources(fleet, nodes, lambda: free)

    check(node, node)
    with pytest.raises(
        ConfigError,
        match=r"the fleet asks for 10 cores, 1 GPUs, 8\.6 GB, but the cluster has 8 cores, 1 GPUs,"
        r" 32\.0 GB free",
    ) as caught:
        check(node)
    assert "--pending" in caught.value.hint
    with pytest.raises(ConfigError, match=r"a trainer asks for 1 cores, 1 GPUs, but no node"):
        check({"CPU": 16.0, "memory": 32e9})
    # Eight cores together are no node of four.
    with pytest.raises(ConfigError, match=r"a worker asks for 4 cores, 0 GPUs, 4\.3 GB"):
        check({**node, "CPU": 3.0}, {**node, "CPU": 3.0}, {**node, "CPU": 3.0})


def test_nodes_of_another_version_or_without_the_run_are_refused() -> None:
    fleet = make()
    good = {"host": "a", "version": fleet.version, "sees": True}
    check_nodes([good, good], fleet)
    with pytest.raises(ConfigError, match=r"node b has selfplay 0\.0\.9, but this is ") as wrong:
        check_nodes([good, {**good, "host": "b", "version": "0.0.9"}], fleet)
    with pytest.raises(RunError, match=r"/shared/r is .* which node c cannot see") as unseen:
        check_nodes([good, {**good, "host": "c", "sees": False}], fleet)
    assert wrong.value.hint and "a bucket, Redis" in unseen.value.hint


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match="--on ray needs Ray") as caught:
        connect("")
    assert "selfplay-jax[ray]" in caught.value.hint


def test_without_a_cluster_it_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr("selfplay.fleet.engines.ray_cluster.ray_module", _NoCluster)
    with pytest.raises(RunError, match=f"nothing listens at {address}") as caught:
        connect(address)
    assert "ray start --head" in caught.value.hint
    # A cluster of this machine that is gone has left its address behind.
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(f"{address}\n")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(RunError, match=f"nothing listens at {address}"):
        connect("")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "none"))
    with pytest.raises(RunError, match="no Ray cluster can be reached: could not find any"):
        connect("")


class _NoCluster:
    """Ray on a machine without a cluster."""

    def is_initialized(self) -> bool:
        return False

    def init(self, **options: object) -> None:
        raise ConnectionError("could not find any running Ray instance")


def test_what_is_shown_needs_no_cluster() -> None:
    fleet = make(gpus=["trainer=0.5"], cpus=["reanalyzer=2"], reanalyzers=1)
    lines = make_backend("ray").shown(fleet, LaunchOptions()).splitlines()
    assert lines[-1] == "reanalyzer-1: num_cpus=2: selfplay reanalyze /shared/r"
    assert lines[:2] == [
        "trainer: num_cpus=1 num_gpus=0.5: selfplay trainer --run /shared/r --game tic_tac_toe",
        "worker-1: num_cpus=1: selfplay worker --run /shared/r",
    ]


def test_the_processes_of_a_trainer_are_shown_as_one_group() -> None:
    lines = make_backend("ray").shown(make(trainer_hosts=2), LaunchOptions()).splitlines()
    group = "--coordinator=HOST:PORT --num-processes=2 --process-id="
    assert [line.partition(group)[2] for line in lines] == ["0", "1", "", "", ""]
    assert [line.partition(":")[0] for line in lines[:3]] == ["trainer", "trainer-1", "worker-1"]


def test_a_free_address_is_one_of_this_machine() -> None:
    host, _, port = free_address("127.0.0.1").rpartition(":")
    assert host == "127.0.0.1"
    with socket.create_server((host, int(port))):
        pass


def test_the_example_for_kuberay_is_understood() -> None:
    job = yaml.safe_load((DEPLOY / "ray" / "rayjob.yaml").read_text())
    program, *words = shlex.split(job["spec"]["entrypoint"])
    assert program == "selfplay"
    values = parsed(words)
    assert (values["on"], values["pending"], values["detach"]) == ("ray", True, False)
    spec = job["spec"]["rayClusterSpec"]
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert f"ray=={spec['rayVersion']}" in pins
    # Every process fits on a node, and all of them on the largest cluster.
    (group,) = spec["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    node = {"CPU": float(container["resources"]["limits"]["cpu"])}
    numbers = {name: values[name] for name in ("workers", "evaluators", "cpus")}
    nodes = [node] * group["maxReplicas"]
    check_resources(make(**numbers), nodes, lambda: {"CPU": node["CPU"] * len(nodes)})


class Gauges(ModuleType):
    """The module of Ray that has gauges; holds what they show."""

    def __init__(self) -> None:
        super().__init__("ray.util.metrics")
        self.shown: dict[tuple[str, ...], float] = {}

    def Gauge(self, name: str, *, description: str, tag_keys: tuple[str, ...]) -> Any:
        assert description

        def set_value(value: float, tags: dict[str, str]) -> None:
            self.shown[name, *(tags[key] for key in tag_keys)] = value

        return SimpleNamespace(set=set_value)


def test_metrics_of_a_process_are_those_of_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauges = Gauges()
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    monkeypatch.setitem(sys.modules, "ray.util", ModuleType("ray.util"))
    monkeypatch.setitem(sys.modules, "ray.util.metrics", gauges)
    file = tmp_path / "copy.json"
    metrics = RayMetrics("s3://b/r", file)
    metrics.show()
    assert gauges.shown == {}
    monkeypatch.setenv("SELFPLAY_HEARTBEAT_FILE", str(file))
    beat = {"matches": 7, "update": 3, "losses": {"policy": 0.5}, "learning_rate": None}
    write_heartbeat(tmp_path, "trainer", "t", beat)
    metrics.show()
    whole = ("s3://b/r", "trainer", "t")
    assert gauges.shown == {
        ("selfplay_matches_total", *whole): 7,
        ("selfplay_update", *whole): 3,
        ("selfplay_loss_nats", *whole, "policy"): 0.5,
    }
    write_heartbeat(tmp_path, "trainer", "t", {**beat, "update": 4})
    metrics.show()
    assert gauges.shown["selfplay_update", *whole] == 4


class Scene:
    """A Ray cluster of two nodes on this machine, and the command line."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.folder = folder
        self.run = str(folder / "run")
        self.environ = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
        self.second = self.cluster.add_node(num_cpus=2)

    def launch(self, *words: str, code: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "selfplay", "launch", *words, "--json"],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if code == 0 else done.stderr

    def new(self, *more: str) -> list[str]:
        tiny = ("--preset=quick", "--set=network.channels=8", "--set=trainer.checkpoint_updates=8")
        where = ("--on=ray", f"--address={self.cluster.address}")
        return [
            self.run,
            "--game=tic_tac_toe",
            "--workers=2",
            "--evaluators=0",
            *where,
            *tiny,
            *more,
        ]

    def beats(self, role: str) -> list[dict[str, Any]]:
        beats = self.launch("--status", self.run)["heartbeats"]
        return [beat for beat in beats if beat["role"] == role and beat["alive"]]

    def update(self) -> int:
        return max((beat["update"] or 0 for beat in self.beats("trainer")), default=0)

    def metric(self, name: str, **labels: str) -> float:
        """Returns the largest value that a node of the cluster shows for a metric of the run."""
        found = [0.0]
        for node in self.cluster.list_all_nodes():
            address = f"http://{node.node_ip_address}:{node.metrics_export_port}/metrics"
            with urllib.request.urlopen(address, timeout=10) as page:
                families = text_string_to_metric_families(page.read().decode())
            wanted = {"run": self.run, **labels}.items()
            for family in families:
                found += [
                    one.value
                    for one in family.samples
                    if one.name == name and wanted <= one.labels.items()
                ]
        return max(found)

    def trains_on(self, before: int) -> bool:
        return self.update() > before


STAND_IN = """\
import os, runpy, sys

if sys.orig_argv[3:4] == ["selfplay"] and sys.orig_argv[4] in ("trainer", "worker"):
    sys.argv = ["selfplay", *sys.orig_argv[4:]]
    try:
        runpy.run_path({path!r}, run_name="__main__")
    finally:
        # While Python starts, sys.exit is a fatal error.
        os._exit(0)
"""
"""Takes the place of `python -P -m selfplay worker` in every Python that finds it."""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder where a stand-in for trainers and workers writes."""
    (tmp_path / "site").mkdir()
    text = STAND_IN.format(path=str(HERE / "stand_in.py"))
    (tmp_path / "site" / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("FOLDER", str(tmp_path))
    return tmp_path


def living_in(folder: Path, role: str) -> set[int]:
    """Returns the stand-ins of a role that run."""
    pids = {int(file.stem.rpartition("-")[2]) for file in folder.glob(f"{role}-*.args")}
    return {pid for pid in pids if ProcessId.of(pid) is not None}


def node_of(pid: int) -> int:
    """Returns the process id of the node of a process, as its environment has it."""
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next(int(word.partition(b"=")[2]) for word in words if b"RAYLET_PID=" in word)


def raylet(node: Any) -> int:
    """Returns the process id of a node."""
    return int(node.all_processes["raylet"][0].process.pid)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    pytest.importorskip("ray")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(CACHE))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    scene = Scene(tmp_path)
    yield scene
    scene.cluster.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_tasks_of_two_nodes_are_placed_killed_and_replaced(stand_in: Path, scene: Scene) -> None:
    """A stand-in takes the place of the processes, so nothing is trained."""

    def living(role: str) -> set[int]:
        return living_in(stand_in, role)

    def saved() -> int:
        return len(list(stand_in.glob("*.saved")))

    told = scene.launch(*scene.new("--cpus=worker=2", "--workers=9"), code=2)
    assert "the fleet asks for 19 cores, 0 GPUs, but the cluster has 4 cores" in told
    told = scene.launch(*scene.new("--detach"))
    assert told["on"] == "ray"
    wait_for(lambda: len(living("trainer")) == 1 and len(living("worker")) == 2)
    assert "runs already" in scene.launch(*scene.new("--detach"), code=1)
    victim = min(living("worker"))
    os.kill(victim, signal.SIGKILL)
    begin = time.monotonic()
    wait_for(lambda: len(living("worker") - {victim}) == 2)
    print(f"a killed worker is replaced after {time.monotonic() - begin:.1f} s")  # noqa: T201
    before = living("trainer") | living("worker")
    scene.cluster.remove_node(scene.second, allow_graceful=False)
    begin = time.monotonic()
    # Two of three find room on the node that is left.
    wait_for(lambda: len(living("trainer") | living("worker")) < 3)
    scene.cluster.add_node(num_cpus=2)
    wait_for(lambda: len(living("trainer")) == 1 and len(living("worker")) == 2)
    print(f"a killed node is replaced after {time.monotonic() - begin:.1f} s")  # noqa: T201
    after = living("trainer") | living("worker")
    assert after != before and after & before, "what ran on the other node goes on"
    status = scene.launch("--status", scene.run)
    assert (status["on"], status["alive"], len(status["processes"])) == ("ray", True, 3)
    count = saved()
    assert scene.launch("--stop", scene.run)["stopped"] == "the fleet has ended"
    assert not living("trainer") and not living("worker")
    assert saved() == count + 3
    assert scene.launch("--status", scene.run)["alive"] is False
    # Attached, it lasts as long as the fleet.
    (stand_in / "trainer.finish").touch()
    assert scene.launch(*scene.new())["ended"] == "the trainer has ended by itself"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_node_that_is_drained_is_left_in_order(stand_in: Path, scene: Scene) -> None:
    """A stand-in takes the place of the processes, so nothing is trained."""

    def living() -> set[int]:
        return living_in(stand_in, "trainer") | living_in(stand_in, "worker")

    nodes = {raylet(node): node for node in (scene.second, scene.cluster.add_node(num_cpus=2))}
    scene.launch(*scene.new("--detach"))
    before = wait_for(lambda: len(pids := living()) == 3 and pids)
    drained = next(node for node in map(node_of, before) if node in nodes)
    there = {pid for pid in before if node_of(pid) == drained}
    subprocess.run(
        [
            *(Path(sys.executable).with_name("ray"), "drain-node"),
            f"--address={scene.cluster.address}",
            f"--node-id={nodes[drained].node_id}",
            "--reason=DRAIN_NODE_REASON_PREEMPTION",
            "--reason-message=taken away",
            "--deadline-remaining-seconds=600",
        ],
        check=True,
        capture_output=True,
    )
    after = wait_for(lambda: len(pids := living() - there) == 3 and pids)
    assert {(path.stem) for path in stand_in.glob("*.saved")} == {
        path.stem for pid in there for path in stand_in.glob(f"*-{pid}.args")
    }
    assert before - there < after, "what ran on the other nodes goes on"
    assert drained not in set(map(node_of, after))
    # Whoever starts a fleet meanwhile is not told that the node cannot run selfplay.
    other = scene.launch(f"{scene.run}-other", *scene.new("--workers=0", "--detach")[1:])
    assert scene.launch("--stop", other["run"])["stopped"] == "the fleet has ended"
    processes = scene.launch("--status", scene.run)["processes"]
    assert [one["restarts"] for one in processes] == [0, 0, 0], "nothing has failed"
    assert scene.launch("--stop", scene.run)["stopped"] == "the fleet has ended"
    assert not living()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_second_run_beside_is_left_alone(stand_in: Path, scene: Scene) -> None:
    """A stand-in takes the place of the processes, so nothing is trained."""
    other = f"{scene.run}-other"

    def living(run: str) -> set[int]:
        pids = living_in(stand_in, "trainer") | living_in(stand_in, "worker")
        args = {pid: next(stand_in.glob(f"*-{pid}.args")).read_text() for pid in pids}
        return {pid for pid, text in args.items() if run in text.split("\n")}

    for run in (scene.run, other):
        scene.launch(run, *scene.new("--workers=1", "--detach")[1:])
    first = wait_for(lambda: len(pids := living(scene.run)) == 2 and pids)
    second = wait_for(lambda: len(pids := living(other)) == 2 and pids)
    assert not first & second
    assert len(scene.launch("--status", other)["processes"]) == 2
    assert scene.launch("--stop", scene.run)["stopped"] == "the fleet has ended"
    assert not living(scene.run) and living(other) == second
    assert scene.launch("--status", other)["alive"] is True
    assert scene.launch("--stop", other)["stopped"] == "the fleet has ended"
    assert not living(other)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_trainer_of_two_hosts_is_started_again_as_a_whole(stand_in: Path, scene: Scene) -> None:
    """A stand-in takes the place of the processes, so nothing is trained."""

    def group(*former: int) -> set[int]:
        found = living_in(stand_in, "trainer") - set(former)
        return found if len(found) == 2 else set()

    def coordinator(pids: set[int]) -> str:
        files = [stand_in / f"trainer-{pid}.args" for pid in pids]
        values: list[Any] = [parsed(file.read_text().split("\n")) for file in files]
        assert {one["process_id"] for one in values} == {0, 1}
        assert {one["num_processes"] for one in values} == {2}
        (found,) = {one["coordinator"] for one in values}
        return str(found)

    def nodes(pids: set[int]) -> set[int]:
        return {node_of(pid) for pid in pids}

    scene.launch(*scene.new("--detach", "--trainer-hosts=2"))
    first = wait_for(group)
    workers = wait_for(lambda: len(pids := living_in(stand_in, "worker")) == 2 and pids)
    assert len(nodes(first)) == 2
    victim = min(first)
    os.kill(victim, signal.SIGKILL)
    second = wait_for(lambda: group(*first))
    assert {(stand_in / f"trainer-{pid}.saved").exists() for pid in first - {victim}} == {True}
    assert coordinator(first) != coordinator(second)
    assert living_in(stand_in, "worker") == workers
    # With a node its process is lost, and the other one ends too.
    scene.cluster.remove_node(scene.second, allow_graceful=False)
    wait_for(lambda: not living_in(stand_in, "trainer"))
    scene.cluster.add_node(num_cpus=2)
    third = wait_for(lambda: group(*first, *second))
    assert coordinator(third) and len(nodes(third)) == 2
    assert scene.launch("--stop", scene.run)["stopped"] == "the fleet has ended"
    assert not living_in(stand_in, "trainer") and not living_in(stand_in, "worker")
    # What was set aside for it is free: the fleet takes all cores of the cluster.
    (stand_in / "trainer.finish").touch()
    told = scene.launch(*scene.new("--trainer-hosts=2"))
    assert told["ended"] == "the trainer has ended by itself"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_fleet_on_two_nodes(scene: Scene) -> None:
    scene.launch(*scene.new("--detach"))
    wait_for(functools.partial(scene.trains_on, 0))
    workers = {beat["pid"] for beat in scene.beats("worker")}
    victim = min(workers)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: len({beat["pid"] for beat in scene.beats("worker")} - {victim}) == 2)
    before = scene.update()
    scene.cluster.remove_node(scene.second, allow_graceful=False)
    scene.cluster.add_node(num_cpus=2)
    wait_for(lambda: len(scene.beats("worker")) == 2 and scene.trains_on(before))
    wait_for(lambda: scene.metric("ray_selfplay_update", role="trainer") > before)
    assert wait_for(lambda: scene.metric("ray_selfplay_positions_per_second", role="worker"))
    assert scene.launch("--stop", scene.run)["stopped"] == "the fleet has ended"
    assert not scene.beats("trainer") and not scene.beats("worker")
    # What the run has cost by now counts; for a little more the next fleet works a little longer.
    cost = 100 * hours_by_role(scene.run)["worker"]
    priced = ("--set=cost.worker_hour=100", f"--max-cost={cost + 1:.2f}")
    ended = scene.launch(*scene.new(*priced))["ended"]
    assert "the run has cost" in ended and "a larger one resumes it" in ended
    assert 100 * hours_by_role(scene.run)["worker"] < cost + 20
    assert not scene.beats("trainer") and not scene.beats("worker")
