"""A fleet on this machine, with kills; where it can, a stand-in takes the place of `selfplay`."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import RunError
from selfplay.fleet.backends import LaunchOptions, make_backend
from selfplay.fleet.engines import local
from selfplay.fleet.engines.local_starter import LocalStarter, last_words
from selfplay.fleet.fleet import Fleet, Process
from selfplay.fleet.processes import ProcessId
from selfplay.fleet.record import Record
from selfplay.fleet.request import make_fleet
from selfplay.fleet.status import fleet_status
from selfplay.run.heartbeats import write_heartbeat
from tests.conftest import CACHE
from tests.deploy.test_commands import parsed

HERE = Path(__file__).parent
PATIENCE_SECONDS = 300.0


def wait_for(what: Callable[[], Any]) -> Any:
    """Returns what becomes true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Scene:
    """Supervisors with a stand-in, on one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = str(folder / "run")
        self.started: list[subprocess.Popen[str]] = []

    def supervise(self, trainer_hosts: int = 1) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                *(sys.executable, HERE / "driver.py", self.run, HERE / "stand_in.py"),
                str(trainer_hosts),
            ],
            env={**os.environ, "FOLDER": str(self.folder)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def pids(self, role: str) -> set[int]:
        """Returns all processes of a role that were ever ready."""
        return {int(file.stem.rpartition("-")[2]) for file in self.folder.glob(f"{role}-*.args")}

    def groups(self, pids: set[int]) -> dict[int, dict[str, Any]]:
        """Returns the options of processes of the trainer, by their numbers."""
        found = [
            parsed((self.folder / f"trainer-{pid}.args").read_text().split("\n")) for pid in pids
        ]
        return {one["process_id"]: one for one in found}  # type: ignore[misc]

    def saved(self, pid: int) -> bool:
        return any(self.folder.glob(f"*-{pid}.saved"))

    def recorded(self) -> dict[str, dict[str, Any]]:
        """Returns the recorded processes, by name."""
        document = Record(self.run).read() or {"processes": []}
        return {one["name"]: one for one in document["processes"]}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    scene = Scene(tmp_path)
    yield scene
    for process in scene.started:
        process.kill()
        process.communicate()
    for one in scene.recorded().values():
        if one["pid"] and one["started"]:
            ProcessId(pid=one["pid"], started=one["started"]).send(signal.SIGKILL)


def test_a_killed_worker_comes_back_and_sigterm_ends_the_fleet(scene: Scene) -> None:
    supervisor = scene.supervise()
    first = wait_for(lambda: len(pids := scene.pids("worker")) == 2 and pids)
    (trainer,) = wait_for(lambda: scene.pids("trainer"))
    searching = wait_for(lambda: scene.pids("reanalyze"))
    victim = scene.recorded()["worker-1"]["pid"]
    os.kill(victim, signal.SIGKILL)
    (another,) = wait_for(lambda: scene.pids("worker") - first)
    wait_for(lambda: scene.recorded()["worker-1"]["restarts"] == 1)
    os.kill(scene.recorded()["reanalyzer-1"]["pid"], signal.SIGKILL)
    (reanalyzer,) = wait_for(lambda: scene.pids("reanalyze") - searching)
    wait_for(lambda: scene.recorded()["reanalyzer-1"]["restarts"] == 1)
    status = make_backend("local").processes(Record(scene.run), Record(scene.run).read() or {})
    assert status["alive"] is True
    assert [one["state"] for one in status["processes"]] == ["running"] * 4
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(PATIENCE_SECONDS) == 0
    # Those that lived have saved.
    saved = (trainer, another, reanalyzer, *(first - {victim}))
    assert all(scene.saved(pid) for pid in saved)
    assert {one["state"] for one in scene.recorded().values()} == {"stopped"}
    words = next(scene.folder.glob(f"worker-{another}.args")).read_text().split("\n")
    assert words[:3] == ["worker", "--run", scene.run] and words[3].startswith("--devices=")


def test_a_trainer_of_several_processes_is_started_again_as_a_whole(scene: Scene) -> None:
    supervisor = scene.supervise(trainer_hosts=2)
    first = wait_for(lambda: len(pids := scene.pids("trainer")) == 2 and pids)
    groups = [scene.groups(first)]
    victim = scene.recorded()["trainer-1"]["pid"]
    os.kill(victim, signal.SIGKILL)
    second = wait_for(lambda: len(pids := scene.pids("trainer") - first) == 2 and pids)
    groups.append(scene.groups(second))
    assert {scene.saved(pid) for pid in first - {victim}} == {True}
    for group in groups:
        assert group.keys() == {0, 1}
        (coordinator,) = {one["coordinator"] for one in group.values()}
        host, _, port = coordinator.rpartition(":")
        assert host == "127.0.0.1" and 1024 <= int(port) < 65536
        assert {one["num_processes"] for one in group.values()} == {2}
        # JAX needs equally many devices in each.
        assert len({one["devices"] for one in group.values()}) == 1
    # A port in use, or one that another program has taken meanwhile, must not stop it for good.
    assert groups[0][0]["coordinator"] != groups[1][0]["coordinator"]
    (scene.folder / "trainer.finish").touch()
    assert supervisor.wait(PATIENCE_SECONDS) == 0
    assert fleet_status(scene.run)["ended"] == "the trainer has ended by itself"


def test_the_fleet_ends_when_the_plan_of_the_trainer_is_fulfilled(scene: Scene) -> None:
    supervisor = scene.supervise()
    workers = wait_for(lambda: len(pids := scene.pids("worker")) == 2 and pids)
    (scene.folder / "trainer.finish").touch()
    assert supervisor.wait(PATIENCE_SECONDS) == 0
    assert all(scene.saved(pid) for pid in workers)
    document = fleet_status_of_a_run_that_is_not_there(scene)
    assert (document["alive"], document["ended"]) == (False, "the trainer has ended by itself")


def fleet_status_of_a_run_that_is_not_there(scene: Scene) -> dict[str, Any]:
    document = fleet_status(scene.run)
    assert document["heartbeats"] == [] and document["on"] == "local"
    return document


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_a_killed_supervisor_leaves_nothing_behind(scene: Scene) -> None:
    supervisor = scene.supervise()
    workers = wait_for(lambda: len(pids := scene.pids("worker")) == 2 and pids)
    (trainer,) = wait_for(lambda: scene.pids("trainer"))
    supervisor.kill()
    supervisor.wait()
    wait_for(lambda: all(scene.saved(pid) for pid in (trainer, *workers)))
    wait_for(lambda: not local.left_over(Record(scene.run)))
    assert fleet_status(scene.run)["alive"] is False
    assert {one["state"] for one in fleet_status(scene.run)["processes"]} == {"gone"}
    # The same command goes on.
    scene.supervise()
    wait_for(lambda: len(scene.pids("worker") - workers) == 2)


def orphan(scene: Scene) -> tuple[subprocess.Popen[bytes], Record]:
    """Returns a process that no kernel ends with its supervisor, and a record that lists it."""
    process = subprocess.Popen(
        [sys.executable, HERE / "stand_in.py", "worker"],
        env={**os.environ, "FOLDER": str(scene.folder)},
    )
    wait_for(lambda: process.pid in scene.pids("worker"))
    identity = ProcessId.of(process.pid)
    assert identity is not None
    fleet = make_fleet(run=scene.run, game="g", workers=1, evaluators=1, environ={})
    record = Record(scene.run)
    gone = {"pid": process.pid, "started": "earlier"}
    one = {"name": "worker-1", "role": "worker", "state": "running", "restarts": 0}
    processes = [{**one, "pid": identity.pid, "started": identity.started, "log": None}]
    record.write(fleet, "local", {"supervisor": gone, "processes": processes, "ended": None})
    return process, record


def test_stop_finds_processes_without_a_supervisor(scene: Scene) -> None:
    process, record = orphan(scene)
    status = fleet_status(scene.run)
    assert status["alive"] is False
    assert status["processes"][0]["state"] == "running without supervisor"
    document = record.read() or {}
    # A zombie counts as gone, as it is to a process that is not its parent.
    assert make_backend("local").stop(record, document, print) == "the fleet has ended"
    assert process.wait(PATIENCE_SECONDS) == 0 and scene.saved(process.pid)
    assert make_backend("local").stop(record, document, print) == "nothing of the fleet runs"


def test_a_process_of_the_same_id_that_is_another_is_left_alone(scene: Scene) -> None:
    process, record = orphan(scene)
    document = record.read() or {}
    document["processes"][0]["started"] = "at another time"
    record.write(Fleet.from_dict(document["fleet"]), "local", document)
    assert make_backend("local").stop(record, document, print) == "nothing of the fleet runs"
    assert process.poll() is None
    process.kill()
    process.wait()
    assert not scene.saved(process.pid)


def test_one_fleet_at_a_time(scene: Scene) -> None:
    scene.supervise()
    wait_for(lambda: len(scene.pids("worker")) == 2 and scene.pids("trainer"))
    record = Record(scene.run)
    document = record.read() or {}
    fleet = Fleet.from_dict(document["fleet"])
    with pytest.raises(RunError, match=r"the fleet of .* runs already"):
        make_backend("local").launch(record, fleet, LaunchOptions(), print, lambda stop: None)
    assert len(scene.pids("trainer")) == 1


def test_a_second_trainer_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    write_heartbeat(scene.run, "trainer", "trainer", {})
    fleet = make_fleet(run=scene.run, game="g", workers=1, evaluators=1, environ={})
    started: list[Process] = []
    monkeypatch.setattr(LocalStarter, "start", lambda self, one: started.append(one))
    with pytest.raises(RunError, match=rf"another process \(pid {os.getpid()} on ") as caught:
        make_backend("local").launch(
            Record(scene.run), fleet, LaunchOptions(), print, lambda stop: None
        )
    assert caught.value.hint and not started


def test_the_last_words_are_the_error(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    assert last_words(log) == ""
    log.write_text("compiling\nlast line\n")
    assert last_words(log) == "last line"
    log.write_text("x\nerror: no such game\n\nhint: see selfplay games\n")
    assert last_words(log) == "no such game; see selfplay games"


class RealFleet:
    """A fleet of real processes on a run of tic-tac-toe, by the commands that people type."""

    TINY = ("--preset", "quick", "--set=network.channels=8", "--set=trainer.checkpoint_updates=8")

    def __init__(self, folder: Path, *size: str) -> None:
        self.run = str(folder / "run")
        self.new = ("launch", self.run, "--game", "tic_tac_toe", *size, *self.TINY)
        self._environ = {
            **os.environ,
            "XDG_STATE_HOME": str(folder / "state"),
            "JAX_COMPILATION_CACHE_DIR": str(CACHE),
        }

    def selfplay(self, *words: str, code: int = 0) -> Any:
        """Returns the document of a command, or what it says of its failure."""
        done = subprocess.run(
            [sys.executable, "-m", "selfplay", *words, "--json"],
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if code == 0 else done.stderr

    def status(self) -> Any:
        return self.selfplay("launch", "--status", self.run)

    def kill(self, name: str) -> None:
        os.kill(self._process(name)["pid"], signal.SIGKILL)

    def restarted(self, *names: str) -> bool:
        return all(self._process(name)["restarts"] == 1 for name in names)

    def update(self) -> int:
        return max((beat["update"] or 0 for beat in self.status()["heartbeats"]), default=0)

    def stop(self) -> None:
        assert self.selfplay("launch", "--stop", self.run)["stopped"] == "the fleet has ended"
        status = self.status()
        assert status["alive"] is False
        assert all(beat["alive"] is False for beat in status["heartbeats"])

    def _process(self, name: str) -> Any:
        return next(one for one in self.status()["processes"] if one["name"] == name)


@pytest.mark.slow
def test_a_real_fleet_with_kills(tmp_path: Path) -> None:
    """Trains, loses a worker and the trainer, goes on; the same command resumes the run."""
    fleet = RealFleet(tmp_path, "--workers", "2")
    fleet.selfplay(*fleet.new, "--detach")
    wait_for(lambda: fleet.update() >= 8)
    assert "runs already" in fleet.selfplay(*fleet.new, code=1)
    for name in ("worker-1", "trainer"):
        fleet.kill(name)
        wait_for(functools.partial(fleet.restarted, name))
    before = fleet.update()
    wait_for(lambda: fleet.update() > before)
    fleet.stop()
    before = fleet.selfplay("status", fleet.run)["update"]
    document = fleet.selfplay(*fleet.new, "--updates", str(before + 8))
    assert document["ended"] == "the trainer has ended by itself" and document["error"] is None


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["trainer", "trainer-1"])
def test_a_real_trainer_of_two_processes_loses_one(lost: str, tmp_path: Path) -> None:
    fleet = RealFleet(tmp_path, "--trainer-hosts", "2", "--evaluators", "0", "--workers", "1")
    fleet.selfplay(*fleet.new, "--detach")
    wait_for(lambda: fleet.update() >= 8)
    fleet.kill(lost)
    wait_for(lambda: fleet.restarted("trainer", "trainer-1"))
    before = fleet.update()
    wait_for(lambda: fleet.update() > before)
    fleet.stop()
    before = fleet.selfplay("status", fleet.run)["update"]
    document = fleet.selfplay(*fleet.new, "--updates", str(before + 8))
    assert document["ended"] == "the trainer has ended by itself" and document["error"] is None
