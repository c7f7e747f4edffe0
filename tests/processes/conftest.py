"""One set of compiled parts for all tests of the loop."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfplay.game import Game
from selfplay.processes.parts import Parts, make_parts
from selfplay.replay.config import ReplayConfig
from selfplay.run import Config, EvaluationConfig, RunDirectory, TrainerConfig
from tests.processes.runs import SPEC, make_run, tiny_parts


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes processes of equal settings share their compiled parts, as far as tests go."""
    for module in ("worker", "evaluator", "rerun"):
        monkeypatch.setattr(f"selfplay.processes.{module}.make_parts", _shared_parts)


def _shared_parts(game: Game[Any], config: Config, **meshes: Any) -> Parts:
    parts = _parts(
        dataclasses.replace(config, trainer=TrainerConfig(), replay=ReplayConfig(),
                            evaluation=EvaluationConfig()),
        tuple(sorted(meshes.items())),
    )  # fmt: skip
    return dataclasses.replace(parts, config=config)


@functools.cache
def _parts(config: Config, meshes: tuple[tuple[str, Any], ...]) -> Parts:
    return make_parts(SPEC.make(), config, **dict(meshes))


MakeRun = Callable[..., tuple[RunDirectory, Parts]]


@pytest.fixture
def new_run(tmp_path: Path) -> MakeRun:
    """Returns a function that makes or opens a run: `new_run("name", **trainer_settings)`."""

    def make(name: str = "run", **trainer: float) -> tuple[RunDirectory, Parts]:
        return make_run(tmp_path / name, tiny_parts(), **trainer)

    return make
