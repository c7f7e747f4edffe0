"""Tiny runs of tic-tac-toe: everything real, but small."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np

from selfplay.registry import GameSpec
from selfplay.run import RunDirectory
from selfplay.runtime.components import Components, make_components
from selfplay.settings import Config
from selfplay.telemetry import Progress
from selfplay.training.trainer import Trainer, train

SPEC = GameSpec("tic_tac_toe")
SETTINGS: dict[str, dict[str, Any]] = {
    "network": {"kind": "mlp", "blocks": 1, "channels": 8},
    "search": {"num_simulations": 4, "max_considered_actions": 4, "sampling_plies": 4},
    "rollout": {"matches_per_device": 4, "plies_per_chunk": 4},
    "replay": {"first_positions": 100, "min_window": 150, "max_window": 300},
    "learner": {
        "batch_size": 16,
        "schedule": "constant",
        "warmup_updates": 3,
        "learning_rate": 0.02,
        "next_policy_weight": 0.0,
    },
    "trainer": {"replay_ratio": 2.0, "updates": 24, "checkpoint_updates": 8},
    "evaluation": {"enabled": False},
}


class Listener:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.messages: list[str] = []
        self.closed = False

    def update(self, progress: Progress) -> None:
        self.progress.append(progress)

    def message(self, text: str) -> None:
        self.messages.append(text)

    def close(self) -> None:
        self.closed = True


@functools.cache
def tiny_components(**rollout: int) -> Components:
    """Returns the components, compiled once for all tests."""
    config = Config.from_dict(SETTINGS).updated({"rollout": rollout})
    return make_components(SPEC.make(), config)


def with_settings(components: Components, settings: dict[str, dict[str, Any]]) -> Components:
    """Returns the same components under other settings of trainer, replay or evaluation."""
    assert set(settings) <= {"trainer", "replay", "evaluation"}
    return dataclasses.replace(components, config=components.config.updated(settings))


def make_run(path: Path, components: Components, **trainer: Any) -> tuple[RunDirectory, Components]:
    """Makes or opens a run and returns it with `components` under these settings of the trainer."""
    components = with_settings(components, {"trainer": trainer})
    run = RunDirectory.open_or_create(path, SPEC, components.game, components.config.to_dict())
    return run, components


def train_all(
    run: RunDirectory, components: Components, listener: Listener | None = None
) -> Trainer:
    """Trains to the planned end."""
    return train(run, components, listener or Listener())


def everything(trainer: Trainer) -> dict[str, Any]:
    """Returns all that a resumed run must have as it was, as arrays and plain values."""
    cursor = trainer.cursor.to_json()
    del cursor["elapsed_seconds"], cursor["segments"]
    assert trainer.source.playing is not None
    samples = trainer.learning.window.sample(512, seed=99, update=0)
    return {
        "state": jax.device_get(trainer.state),
        "matches": jax.device_get(trainer.source.playing.matches),
        "collector": trainer.source.playing.collector.state(),
        "cursor": cursor,
        "window": samples,
        "window_size": np.array(trainer.learning.window.size),
        "made": np.array(
            [trainer.learning.window.positions_made, trainer.learning.window.matches_made]
        ),
    }


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Raises unless two results of `everything` are equal bit for bit."""
    assert left["cursor"] == right["cursor"]
    for name in left:
        if name != "cursor":
            jax.tree.map(np.testing.assert_array_equal, left[name], right[name])


def match_files(run: RunDirectory, folder: str = "matches") -> dict[str, bytes]:
    """Returns the files of finished matches, or of another folder of them, with their content."""
    return {
        str(file.relative_to(run.path / folder)): file.read_bytes()
        for file in sorted((run.path / folder).rglob("*.parquet"))
    }
