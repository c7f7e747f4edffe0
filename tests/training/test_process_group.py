"""Processes on this machine train as one: the same weights in all, and one of them writes."""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.training.process_group import ProcessGroup
from tests.training.runs import make_run, tiny_components, train_all

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("peers.py")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Peers:
    """Starts processes that train a run as one."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._orders, self._answers = process.stdin, process.stdout
        self._folder = folder

    def train(
        self, path: Path, *, count: int, updates: int, devices: int = 1
    ) -> list[dict[str, Any]]:
        """Trains a run by `count` processes and returns what each of them says at the end."""
        coordinator = f"127.0.0.1:{free_port()}"
        outputs = [self._folder / f"{index}.json" for index in range(count)]
        orders = [
            [str(output), str(path), coordinator, count, index, updates, devices]
            for index, output in enumerate(outputs)
        ]
        self._orders.write(f"{json.dumps(orders)}\n")
        self._orders.flush()
        assert select.select([self._answers], [], [], 400)[0], "they do not end"
        codes = self._answers.readline()
        assert codes == f"{[0] * count}\n", "they have failed: see the output above"
        return [json.loads(output.read_text()) for output in outputs]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
    ) as process:
        yield Peers(process, tmp_path_factory.mktemp("peers"))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run with matches and no checkpoint."""
    run, components = make_run(
        tmp_path_factory.mktemp("peers") / "run", tiny_components(), updates=24
    )
    train_all(run, components)
    for folder in ("checkpoints", "ledger"):
        shutil.rmtree(run.path / folder)
    return run.path


def test_two_processes_reach_the_same_weights_and_one_writes(
    peers: Peers, stored: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(stored, tmp_path / "two")
    # Six devices share 16 samples.
    leader, follower = peers.train(run, count=2, updates=12, devices=3)
    assert leader["weights"] == follower["weights"]
    assert leader["update"] == follower["update"] == 12
    assert leader["positions"] == follower["positions"] > 0
    assert leader["devices"] == 6
    assert leader["told"] > 0
    assert follower["told"] == 0
    assert sorted(int(entry.name) for entry in (run / "checkpoints").iterdir()) == [0, 8, 12]
    # They go on from what they saved.
    again = peers.train(run, count=2, updates=16, devices=3)
    assert again[0]["weights"] == again[1]["weights"] != leader["weights"]


def test_three_devices_make_the_updates_of_one(peers: Peers, stored: Path, tmp_path: Path) -> None:
    results = []
    for devices in (1, 3):
        run = shutil.copytree(stored, tmp_path / f"of-{devices}")
        (result,) = peers.train(run, count=1, updates=12, devices=devices)
        assert result["devices"] == devices
        results.append(result)
    one, three = results
    assert one["positions"] == three["positions"]
    # The gradients are summed in another order, nothing else differs.
    assert three["total"] == pytest.approx(one["total"], rel=1e-4)


@pytest.mark.slow
def test_four_processes_make_the_updates_of_one_and_go_on(
    peers: Peers, stored: Path, tmp_path: Path
) -> None:
    results = {}
    for count in (1, 4):
        run = shutil.copytree(stored, tmp_path / f"of-{count}")
        results[count] = peers.train(run, count=count, updates=12)
    four, (one,) = results[4], results[1]
    assert len({each["weights"] for each in four}) == 1
    assert [each["update"] for each in four] == [12] * 4
    assert four[0]["positions"] == one["positions"] and four[0]["devices"] == 4
    assert [each["told"] > 0 for each in four] == [True, False, False, False]
    # The gradients are summed in another order, nothing else differs.
    assert four[0]["total"] == pytest.approx(one["total"], rel=1e-4)
    # A run goes on with another number of processes.
    for count in (2, 4):
        again = peers.train(tmp_path / "of-4", count=count, updates=12 + 4 * count)
        assert len({each["weights"] for each in again}) == 1


def start_trainers(run: Path, folder: Path, count: int) -> "list[subprocess.Popen[bytes]]":
    """Starts the real commands, which train until they are asked to end."""
    coordinator = f"127.0.0.1:{free_port()}"
    started = []
    for index in range(count):
        words = (
            *("trainer", "--run", str(run), "--game=tic_tac_toe", "--updates=100000"),
            *(f"--coordinator={coordinator}", f"--num-processes={count}"),
            *(f"--process-id={index}", "--devices=1", "--set=trainer.replay_ratio=100000"),
        )
        with (folder / f"{index}.log").open("ab") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "selfplay", *words],
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "JAX_PLATFORMS": "cpu"},
                )
            )
    return started


def newest(run: Path) -> int:
    names = (one.name for one in (run / "checkpoints").glob("*"))
    return max((int(name) for name in names if name.isdigit()), default=-1)


@pytest.mark.slow
def test_a_killed_process_ends_all_and_a_signal_to_any_saves(stored: Path, tmp_path: Path) -> None:
    run = shutil.copytree(stored, tmp_path / "run")
    trainers: list[subprocess.Popen[bytes]] = []

    def reaches(update: int) -> None:
        deadline = time.monotonic() + 300
        while newest(run) < update:
            assert all(one.poll() is None for one in trainers), "see the logs"
            assert time.monotonic() < deadline
            time.sleep(0.1)

    try:
        trainers = start_trainers(run, tmp_path, 2)
        reaches(16)
        trainers[1].kill()
        trainers[1].wait()
        assert trainers[0].wait(300) == 1
        said = (tmp_path / "0.log").read_text()
        assert "error: another process of the trainer has ended" in said, said[-2000:]
        before = newest(run)
        trainers = start_trainers(run, tmp_path, 2)
        reaches(before + 8)
        # The second is asked, and both save and end.
        trainers[1].terminate()
        assert [one.wait(300) for one in trainers] == [0, 0]
        assert newest(run) > before
    finally:
        for one in trainers:
            one.kill()
            one.wait()


def test_alone_everything_is_agreed() -> None:
    group = ProcessGroup()
    assert group.leads
    assert group.any(True) and not group.any(False)
    assert group.agree({"save": True, "files": [["a", 1]]}) == {"save": True, "files": [["a", 1]]}
