"""The commands on other machines than this one; benchmarks/machines.py has all of them."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CACHE
from tests.faked_machine import Machine
from tests.programs import keep_new, link_known

SETTINGS = (
    *("network.kind=mlp", "search.num_simulations=4", "rollout.matches_per_device=8"),
    *("replay.first_positions=100", "replay.min_window=200", "trainer.replay_ratio=8"),
    # The default one.
    *("learner.batch_size=128", "evaluation.enabled=false"),
)
TRAIN = ("train", "tic_tac_toe", "--run", "run")
TINY = ("--preset", "quick", *(text for setting in SETTINGS for text in ("--set", setting)))

HARSH: dict[str, Any] = {
    "clock_jumps": True,
    "blocked": ("onnxruntime",),
    "environ": {
        "COLUMNS": "40",
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
        "PYTHONUTF8": "0",
        "TZ": "Pacific/Chatham",
    },
}


def succeed(machine: Machine, folder: Path, *arguments: object, typed: str = "") -> str:
    """Runs a command and returns what it printed, its lines joined."""
    cache = None if machine.home else CACHE
    done = machine.run(folder, *arguments, cache=cache, typed=typed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.count("cache") == 0, done.stderr
    return " ".join(done.stdout.split())


def test_a_run_of_twelve_cores_goes_on_on_five_and_is_played_against(tmp_path: Path) -> None:
    """Without ONNX Runtime, in ASCII on 40 columns, in another time zone, by a clock that jumps."""
    told = succeed(Machine(name="12", cores=12, **HARSH), tmp_path, *TRAIN, *TINY, "--updates", 2)
    assert "tree of 96 matches" in told
    assert "12 x cpu (this machine has 12)" in told
    three = Machine(name="3", cores=3, **HARSH)
    told = succeed(three, tmp_path, *TRAIN, "--updates", 4, "--devices", 5)
    assert "40 of those in progress go on, 56 are dropped" in told
    document = json.loads(succeed(three, tmp_path, "status", "run", "--json"))
    assert document["update"] == 4
    moves = "".join(f"#{cell}\n" for cell in "408123567")
    told = succeed(three, tmp_path, "play", "run", "--simulations", 2, "--json", typed=moves)
    match = json.loads(told)
    assert match["ending"] == "finished"
    assert len(match["actions"]) >= 5


def test_a_container_with_a_quota_uses_two_of_its_cores_and_needs_no_home(tmp_path: Path) -> None:
    machine = Machine(
        name="container", cores=32, quota=2.9, version=1, memory=6 * 10**9, home="read-only"
    )
    own = tmp_path / "temporary" / f"selfplay-{os.getuid()}"
    link_known(own / "xla")
    own.chmod(0o700)
    told = succeed(machine, tmp_path, *TRAIN, *TINY, "--updates", 2)
    assert "tree of 16 matches" in told
    assert "2 x cpu (its control group allows 2.9 CPUs)" in told
    report = json.loads(succeed(machine, tmp_path, "doctor", "--json"))
    assert report["cores"] == len(report["devices"]) == 2
    assert report["cores_reason"] == "its control group allows 2.9 CPUs"
    assert report["memory_bytes"] == 6 * 10**9
    assert report["compilation_cache"]["writable"]
    assert Path(report["compilation_cache"]["directory"]) == own / "xla"
    keep_new(own / "xla")


@pytest.mark.slow
def test_every_command_works_on_every_machine(tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    from machines import MACHINES, try_machine  # type: ignore[import-not-found]

    problems = []
    for index, (machine, devices) in enumerate(MACHINES.items()):
        folder = tmp_path / str(index)
        folder.mkdir()
        found = try_machine(machine, devices, folder, sys.executable, CACHE)
        problems += [
            f"{machine.name}, {name}: {wrong}\n{output[-1000:]}"
            for name, (wrong, _, output) in found.items()
            if wrong
        ]
    assert not problems, "\n\n".join(problems)
