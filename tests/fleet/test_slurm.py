"""A fleet on Slurm: a stand-in for its programs runs the real batch file, requeues included."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import ConfigError, RunError
from selfplay.fleet.backends import LaunchOptions, make_backend
from selfplay.fleet.fleet import Fleet
from selfplay.fleet.record import Record
from selfplay.fleet.request import make_fleet
from selfplay.fleet.status import check_not_elsewhere, fleet_status
from tests.deploy.files import DEPLOY
from tests.deploy.test_commands import parsed
from tests.fleet.test_local import wait_for

HERE = Path(__file__).parent
PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "srun", "sinfo")


class Scene:
    """A cluster of stand-ins, and a fleet for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / "jobs"
        self.run = str(folder / "run")
        self.record = Record(self.run)
        self.backend = make_backend("slurm")

    def fleet(self, **asked: Any) -> Fleet:
        whole = {"game": "tic_tac_toe", "workers": 2, "evaluators": 0, "environ": {}, **asked}
        return make_fleet(run=self.run, **whole)

    def launch(self, fleet: Fleet | None = None, **options: Any) -> Any:
        return self.backend.launch(
            self.record, fleet or self.fleet(), LaunchOptions(**options), print, lambda stop: None
        )

    def ready(self, role: str) -> set[int]:
        return {int(file.stem.rpartition("-")[2]) for file in self.folder.glob(f"{role}-*.args")}

    def read(self, job: int, name: str) -> str:
        file = self.jobs / str(job) / name
        return file.read_text() if file.exists() else ""


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "jobs").mkdir()
    stand_ins = {name: (HERE / "slurm_stand_in.py", name) for name in PROGRAMS}
    for name, words in {**stand_ins, "selfplay": (HERE / "stand_in.py",)}.items():
        command = shlex.join(map(str, (sys.executable, *words)))
        (programs / name).write_text(f'#!/bin/bash\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_STAND_IN", str(tmp_path / "jobs"))
    monkeypatch.setenv("NODES", "node1")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    monkeypatch.setattr("selfplay.fleet.engines.slurm._LOOK_SECONDS", 0.05)
    scene = Scene(tmp_path)
    yield scene
    for file in (tmp_path / "jobs").glob("*/step"):
        try:
            os.kill(int(file.read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            continue


def test_jobs_requeue_themselves_and_stop_ends_them(scene: Scene) -> None:
    document = scene.launch().document
    assert document["jobs"] == {"trainer": "101", "worker": "102"}
    first = wait_for(lambda: len(pids := scene.ready("worker")) == 2 and pids)
    wait_for(lambda: scene.ready("trainer"))
    words = next(scene.folder.glob("worker-*.args")).read_text().split("\n")
    assert words == ["worker", "--run", scene.run, "--log-format=json"]
    status = fleet_status(scene.run)
    assert (status["on"], status["alive"]) == ("slurm", True)
    assert [(one["job"], one["state"]) for one in status["processes"]] == [
        ("101", "running"), ("102_1", "running"), ("102_2", "running"),
    ]  # fmt: skip
    with pytest.raises(RunError, match=r"the fleet of .* runs already"):
        scene.launch()
    with pytest.raises(RunError, match=r"the fleet of .* runs on slurm already"):
        check_not_elsewhere(scene.record, "local")
    # The time limit of one worker is near: it saves, and its job is queued again.
    os.kill(int(scene.read(103, "script")), signal.SIGUSR1)
    (another,) = wait_for(lambda: scene.ready("worker") - first)
    assert wait_for(lambda: scene.read(103, "restarts") == "1")
    assert len(list(scene.folder.glob("worker-*.saved"))) == 1
    wait_for(lambda: scene.read(103, "step") == str(another))
    assert scene.backend.stop(scene.record, scene.record.read() or {}, print) == (
        "the fleet has ended"
    )
    # Each of those that ran last has saved, and none is queued again.
    assert len(list(scene.folder.glob("*.saved"))) == 4
    assert fleet_status(scene.run)["alive"] is False
    assert {one["state"] for one in fleet_status(scene.run)["processes"]} == {"ended"}
    assert scene.backend.stop(scene.record, scene.record.read() or {}, print) == (
        "nothing of the fleet runs"
    )
    check_not_elsewhere(scene.record, "local")


def test_a_fulfilled_plan_ends_the_job_of_the_trainer(scene: Scene) -> None:
    (scene.folder / "trainer.finish").touch()
    scene.launch(scene.fleet(workers=0))
    wait_for(lambda: scene.read(101, "state") == "COMPLETED")
    # The same command submits it again.
    assert scene.launch(scene.fleet(workers=0)).document["jobs"] == {"trainer": "102"}
    wait_for(lambda: scene.read(102, "state") == "COMPLETED")


def test_a_trainer_of_several_hosts_is_one_job_of_as_many_tasks(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODES", "node1,node2")
    fleet = scene.fleet(workers=0, trainer_hosts=2)
    scene.launch(fleet, shared=True)
    first = wait_for(lambda: len(pids := scene.ready("trainer")) == 2 and pids)
    commands = [file.read_text().split("\n") for file in scene.folder.glob("trainer-*.args")]
    values: list[Any] = sorted(
        (parsed(words) for words in commands), key=lambda one: one["process_id"]
    )
    assert [one["process_id"] for one in values] == [0, 1]
    # The port belongs to the job; the host is the first of its nodes, where task 0 runs.
    for one in values:
        assert (one["coordinator"], one["num_processes"]) == ("node1:20101", 2)
        assert (one["run"], one["log_format"]) == (scene.run, "json")
    status = fleet_status(scene.run)["processes"]
    assert [(one["name"], one["job"]) for one in status] == [
        ("trainer", "101"),
        ("trainer-1", "101"),
    ]
    assert {one["log"] for one in status} == {str(scene.record.logs / "trainer.log")}
    # At the time limit all of them save, and the job is queued again with all of them.
    os.kill(int(scene.read(101, "script")), signal.SIGUSR1)
    second = wait_for(lambda: len(pids := scene.ready("trainer") - first) == 2 and pids)
    assert {pid for pid in first if (scene.folder / f"trainer-{pid}.saved").exists()} == first
    # If one is lost, the other ends, and the job with it.
    lost, other = sorted(second)
    os.kill(lost, signal.SIGKILL)
    wait_for(lambda: scene.read(101, "state") == "FAILED")
    assert (scene.folder / f"trainer-{other}.saved").exists()


def test_more_hosts_than_nodes_are_refused(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="--trainer-hosts is 2, but Slurm has 1 nodes") as caught:
        scene.launch(scene.fleet(trainer_hosts=2))
    assert caught.value.hint


def test_what_is_shown_is_what_people_type(scene: Scene) -> None:
    fleet = scene.fleet(
        workers=32,
        evaluators=1,
        reanalyzers=2,
        trainer_hosts=4,
        cpus=("worker=8",),
        memory=("worker=2G",),
        gpus=("trainer=1",),
        settings=("trainer.updates=5",),
    )
    shown = scene.backend.shown(fleet, LaunchOptions(sbatch=("--partition=long",)))
    lines = [shlex.split(line) for line in shown.splitlines()]
    batch = str(DEPLOY / "slurm" / "selfplay.sbatch")
    assert [line[0] for line in lines] == ["sbatch"] * 4
    for line in lines:
        assert "--partition=long" in line
        assert parsed(line[line.index(batch) + 1 :])["run"] == scene.run
    trainer, worker, evaluator, reanalyzer = (set(line) for line in lines)
    assert {"--array=1-2", "reanalyze"} <= reanalyzer
    assert {"--gres=gpu:1", "--mem=8192M", "--set=trainer.updates=5"} <= trainer
    assert {"--nodes=4", "--ntasks=4", "--ntasks-per-node=1"} <= trainer
    assert {"--array=1-32", "--cpus-per-task=8", "--mem=2048M"} <= worker
    assert not any(word.startswith("--gres") for word in worker | evaluator | reanalyzer)
    with pytest.raises(ConfigError, match=r"worker=0\.5, but Slurm gives out whole GPUs"):
        scene.backend.shown(scene.fleet(gpus=("worker=0.5",)), LaunchOptions())


def test_without_slurm_it_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(scene.folder))
    with pytest.raises(RunError, match="sbatch is not on the PATH") as caught:
        scene.launch()
    assert caught.value.hint


def test_what_slurm_refuses_is_said_and_nothing_is_left(scene: Scene) -> None:
    with pytest.raises(RunError, match="sbatch refuses: invalid partition specified: none"):
        scene.launch(sbatch=("--partition=none",))
    assert scene.record.read() is None and not list(scene.jobs.glob("*/job.json"))


def test_a_run_on_this_machine_is_refused_on_several_nodes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODES", "node1,node2")
    monkeypatch.setattr("selfplay.fleet.checks.file_system", lambda path: "ext4")
    with pytest.raises(RunError, match=r"which the nodes of Slurm cannot see") as caught:
        scene.launch()
    assert "--shared" in caught.value.hint
    (scene.folder / "trainer.finish").touch()
    assert scene.launch(scene.fleet(workers=0), shared=True).document["jobs"]
    wait_for(lambda: scene.read(101, "state") == "COMPLETED")
