"""One set of compiled components for all tests that train or play tic-tac-toe."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfplay.game import Game
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.run import RunDirectory
from selfplay.runtime.components import Components, make_components
from selfplay.settings import Config
from selfplay.settings.sections import EvaluationConfig, TrainerConfig
from selfplay.settings.sections.replay import ReplayConfig
from tests.training.runs import SPEC, make_run, tiny_components

MADE_IN = ("training.session", "workers.worker_components", "workers.evaluator", "reports.rerun")
"""Where processes make their components."""


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes processes of equal settings share their compiled components, where tests allow it."""
    for module in MADE_IN:
        monkeypatch.setattr(f"selfplay.{module}.make_components", shared_components)


def shared_components(game: Game[Any], config: Config, **meshes: Any) -> Components:
    """Returns what `make_components` does; for tic-tac-toe the same again under equal settings."""
    if type(game) is not TicTacToe:
        return make_components(game, config, **meshes)
    components = _components(
        dataclasses.replace(config, trainer=TrainerConfig(), replay=ReplayConfig(),
                            evaluation=EvaluationConfig()),
        tuple(sorted(meshes.items())),
    )  # fmt: skip
    if components.inference.traits.calibrates:
        # It remembers what it was calibrated on.
        return make_components(game, config, **meshes)
    return dataclasses.replace(components, config=config)


@functools.cache
def _components(config: Config, meshes: tuple[tuple[str, Any], ...]) -> Components:
    return make_components(SPEC.make(), config, **dict(meshes))


MakeRun = Callable[..., tuple[RunDirectory, Components]]


@pytest.fixture
def new_run(tmp_path: Path) -> MakeRun:
    """Returns a function that makes or opens a run: `new_run("name", **trainer_settings)`."""

    def make(name: str = "run", **trainer: float) -> tuple[RunDirectory, Components]:
        return make_run(tmp_path / name, tiny_components(), **trainer)

    return make
