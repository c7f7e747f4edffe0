"""Commands take any path of a run, and their hints can be copied."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Invoke
from tests.names import ODD_NAMES, ODDEST_NAME

Succeed = Callable[..., str]


@pytest.fixture
def succeed(invoke: Invoke) -> Succeed:
    """Returns a function that runs a command, which must succeed, and returns its output."""

    def run(*arguments: object, **more: str) -> str:
        result = invoke(*arguments, **more)
        assert result.exit_code == 0, (arguments, result.stderr, result.exception)
        return str(result.stdout)

    return run


def commands(succeed: Succeed, run: Path, folder: Path) -> None:
    """Runs every command that opens a run."""
    document = json.loads(succeed("train", "tic_tac_toe", f"--run={run}", "--updates=10", "--json"))
    assert document["update"] == document["checkpoint"] == 10
    assert document["problems"] == []
    assert json.loads(succeed("status", run, "--json"))["run"] == str(run)
    newest = json.loads(succeed("matches", run, "--limit=1", "--json"))[0]
    assert len(json.loads(succeed("matches", run, newest["match_id"], "--json"))["moves"])
    for name, agent in ((run, f"{run}@10:8"), (f"{run}@8", f"{run}@8:8"), (f"{run}@8:0", "@8:0")):
        asked = json.loads(succeed("analyze", name, "--moves", "4", "--json"))
        assert asked["agent"].endswith(agent)
    assert f"{run}@10:8 plays" in succeed("play", run, "--side=1", input="quit\n")
    arena = json.loads(succeed("arena", f"{run}@8:0", f"{run}:2", "--matches=2", "--json"))
    assert arena["agents"] == [f"{run}@8:0", f"{run}@10:2"]
    file = folder / f"{run.name}.onnx"
    succeed("export", f"{run}@8", file)
    assert file.stat().st_size > 0
    succeed("curve", run, f"--output={folder / run.name}.svg")
    assert json.loads(succeed("balance", f"{run}@8", "--json"))["run"] == str(run)
    succeed("clone", f"{run}@8", folder / "clone" / run.name)
    options = (f"--run={run}", "--jitter=0", "--max-matches=1", "--id=w")
    assert json.loads(succeed("worker", *options, "--json"))["matches"] >= 1
    assert succeed("doctor", f"--run={run}")


@pytest.mark.slow
def test_every_command_at_the_oddest_path(succeed: Succeed, trained: Path, tmp_path: Path) -> None:
    commands(succeed, shutil.copytree(trained, tmp_path / "runs" / ODDEST_NAME), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD_NAMES)
def test_every_command_at_odd_paths(
    succeed: Succeed, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / name
    settings = ("--set=trainer.checkpoint_updates=8", "--set=evaluation.enabled=false")
    succeed("train", "tic_tac_toe", *TINY, *settings, "--updates=8", f"--run={run}")
    commands(succeed, run, tmp_path)
    # By the name alone, as it is typed in the folder above: options end at "--".
    monkeypatch.chdir(tmp_path)
    assert json.loads(succeed("status", "--json", "--", name))["checkpoint"] == 10
