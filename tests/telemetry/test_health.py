"""selfplay health: an exit code and one line, from the heartbeats of a run."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import ConfigError
from selfplay.registry import GameSpec
from selfplay.reports.health import diagnose
from selfplay.run import RunDirectory, write_heartbeat
from selfplay.settings import Config
from tests.cli.conftest import invoke  # noqa: F401


@pytest.fixture(scope="module")
def empty_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("health") / "run"
    spec = GameSpec(spec="tic_tac_toe", options={})
    RunDirectory.create(path, spec, spec.make(), Config())
    return path


@pytest.fixture
def run(empty_run: Path, tmp_path: Path) -> Path:
    """Returns a run with a trainer and two workers, one of them dead for an hour."""
    path = shutil.copytree(empty_run, tmp_path / "run")
    beat(path, "trainer", "main", state="training", ready=True)
    beat(path, "worker", "w1", state="waiting for a checkpoint", ready=False)
    beat(path, "worker", "w2", state="playing", ready=True)
    change(path, "worker", "w2", seconds_ago=3600)
    return path


def beat(path: Path, role: str, id: str, **fields: Any) -> None:
    write_heartbeat(path, role, id, fields)


def change(path: Path, role: str, id: str, *, seconds_ago: float = 0.0, **fields: Any) -> None:
    file = path / "heartbeats" / f"{role}-{id}.json"
    document = json.loads(file.read_text())
    document["time"] -= seconds_ago
    file.write_text(json.dumps(document | fields))
    os.utime(file, (document["time"], document["time"]))


def text_of(run: Path, role: str, **options: Any) -> tuple[bool, str]:
    diagnosis = diagnose(str(run), role, **options)
    assert "\n" not in diagnosis.text
    # Seconds pass.
    text, _, ago = diagnosis.text.partition(", heard of ")
    assert not ago or ago.endswith(" s ago")
    return diagnosis.healthy, text


def test_one_that_is_well(run: Path) -> None:
    assert text_of(run, "trainer") == (True, "trainer main is well, training")
    assert text_of(run, "worker", id="w1") == (True, "worker w1 is well, waiting for a checkpoint")


def test_ready_asks_for_more(run: Path) -> None:
    assert text_of(run, "worker", id="w1", ready=True) == (
        False,
        "worker w1 is not ready, waiting for a checkpoint",
    )
    assert text_of(run, "trainer", ready=True)[0]


def test_one_of_several_is_enough_unless_it_is_named(run: Path) -> None:
    assert text_of(run, "worker") == (
        True,
        "1 of 2 processes are well: worker w1 is well, waiting for a checkpoint",
    )
    assert text_of(run, "worker", id="w2") == (False, "worker w2 is dead or silent, playing")
    assert text_of(run, "any")[1].startswith("2 of 3 processes are well: ")


def test_age_is_limited_as_asked(run: Path) -> None:
    change(run, "trainer", "main", seconds_ago=20)
    assert text_of(run, "trainer")[0]
    assert text_of(run, "trainer", max_age_seconds=10) == (
        False,
        "trainer main is dead or silent, training",
    )


def test_a_process_that_was_killed_is_not_well_at_once(run: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    change(run, "trainer", "main", pid=ended.pid)
    assert text_of(run, "trainer") == (False, "trainer main is dead or silent, training")


def test_here_means_this_host(run: Path) -> None:
    here = socket.gethostname()
    assert text_of(run, "trainer", here=True)[0]
    change(run, "trainer", "main", host="elsewhere", process_space="elsewhere.1")
    assert text_of(run, "trainer")[0]
    assert text_of(run, "trainer", here=True) == (
        False,
        f"no heartbeat of any trainer on {here} in {run}",
    )


def test_nobody_there(run: Path) -> None:
    assert text_of(run, "evaluator") == (False, f"no heartbeat of any evaluator in {run}")
    assert text_of(run, "worker", id="w9") == (False, f"no heartbeat of worker w9 in {run}")


def test_no_run_yet(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert text_of(missing, "worker") == (False, f"{missing} is not a selfplay run")


def test_what_is_asked_is_checked(run: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^ROLE is 'workers', but must be one of: trainer, worker, evaluator, reanalyzer, "
        r"any$",
    ):
        diagnose(run, "workers")
    with pytest.raises(
        ConfigError, match=r"(?m)^--max-age is 0, but must be at most 120 and above 0$"
    ):
        diagnose(run, "worker", max_age_seconds=0)
    with pytest.raises(ConfigError, match=r"^--max-age is 600, but must be at most 120 and above"):
        diagnose(run, "worker", max_age_seconds=600)


def test_a_probe_does_not_wait_for_jax(run: Path) -> None:
    # Nor do the stores elsewhere bring it.
    code = (
        f"import sys; sys.argv = ['selfplay', 'health', {str(run)!r}, 'trainer']\n"
        "from selfplay.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as ended: print(ended.code)\n"
        "import selfplay.store.fsspec_store, selfplay.store.redis_store, selfplay.store.s3_store\n"
        "print([name for name in ('jax', 'numpy', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, *rest = done.stdout.splitlines()
    assert said.startswith("trainer main is well")
    assert rest == ["0", "[]"]


def test_the_command_exits_with_the_answer(
    run: Path,
    invoke: Callable[..., Any],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    well = invoke("health", run, "trainer")
    assert (well.exit_code, well.stderr) == (0, "")
    assert well.stdout.startswith("trainer main is well, training, heard of ")
    assert well.stdout.count("\n") == 1
    silent = invoke("health", run, "worker", "--id", "w2")
    assert (silent.exit_code, silent.stdout.count("\n")) == (1, 1)
    document = json.loads(invoke("health", run, "worker", "--json").stdout)
    assert document["healthy"] is True
    assert [one["alive"] for one in document["processes"]] == [True, False]
    assert invoke("health", run, "workers").exit_code == 2
    # As in a container: the run from the environment, whoever is there.
    monkeypatch.setitem(os.environ, "SELFPLAY_RUN", str(run))
    assert invoke("health", "--here").exit_code == 0
