"""Two processes on this machine train as one: the same weights in both, and one of them writes."""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
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


def test_alone_everything_is_agreed() -> None:
    group = ProcessGroup()
    assert group.leads
    assert group.agree({"save": True, "files": [["a", 1]]}) == {"save": True, "files": [["a", 1]]}
