"""One tiny trained run, and the command line as a person uses it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest
from typer.testing import CliRunner

from selfplay import startup
from selfplay.cli.main import app
from tests.training.fixtures import MADE_IN, shared_components

TINY = ("--preset", "quick", "--set", "network.channels=8", "--set", "rollout.matches_per_device=8")

Invoke = Callable[..., Any]


@pytest.fixture(scope="session")
def invoke() -> Invoke:
    """Returns a function that runs a command in this process."""
    # The devices and the cache are those of the tests, whatever comes first.
    assert jax.device_count() == 2

    def run(*arguments: object, **more: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(startup, "prepare", lambda **_: None)
            for module in MADE_IN:
                patch.setattr(f"selfplay.{module}.make_components", shared_components)
            texts = [*map(str, arguments)]
            return CliRunner().invoke(app, texts, prog_name="selfplay", **more)

    return run


@pytest.fixture(scope="session")
def trained(invoke: Invoke, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run of tic_tac_toe with two checkpoints; not to be changed."""
    path = tmp_path_factory.mktemp("cli") / "tiny"
    checkpoints: tuple[str, ...] = (
        "--set",
        "trainer.checkpoint_updates=4",
        "--set",
        "evaluation.first_seconds=0.1",
    )
    # Else the first evaluation would wait until its compilation is a tenth of the time.
    checkpoints += ("--set", "evaluation.share=1")
    result = invoke("train", "tic_tac_toe", *TINY, *checkpoints, "--updates", 8, "--run", path)
    assert result.exit_code == 0, result.stderr
    return path


@pytest.fixture
def own_run(trained: Path, tmp_path: Path) -> Path:
    """Returns a copy of the trained run that a test may change."""
    return shutil.copytree(trained, tmp_path / "own")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Returns a function that starts a command as a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object, cwd: Path | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "selfplay", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
