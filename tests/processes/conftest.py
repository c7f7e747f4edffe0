"""One set of compiled parts for all tests of the loop."""

from collections.abc import Callable
from pathlib import Path

import pytest

from selfplay.processes.parts import Parts
from selfplay.run import RunDirectory
from tests.processes.runs import make_run, tiny_parts

MakeRun = Callable[..., tuple[RunDirectory, Parts]]


@pytest.fixture
def new_run(tmp_path: Path) -> MakeRun:
    """Returns a function that makes or opens a run: `new_run("name", **trainer_settings)`."""

    def make(name: str = "run", **trainer: float) -> tuple[RunDirectory, Parts]:
        return make_run(tmp_path / name, tiny_parts(), **trainer)

    return make
