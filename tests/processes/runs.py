"""Tiny runs of tic-tac-toe: everything real, but small."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np

from selfplay.processes.loop import Loop, train
from selfplay.processes.parts import Parts, make_parts
from selfplay.registry import GameSpec
from selfplay.run import Config, RunDirectory
from selfplay.telemetry import Progress

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
    "trainer": {"reuse": 2.0, "updates": 24, "checkpoint_updates": 8},
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
def tiny_parts(**rollout: int) -> Parts:
    """Returns the parts, compiled once for all tests."""
    config = Config.from_dict(SETTINGS).updated({"rollout": rollout})
    return make_parts(SPEC.make(), config)


def with_settings(parts: Parts, settings: dict[str, dict[str, Any]]) -> Parts:
    """Returns the same compiled parts under other settings of trainer, replay or evaluation."""
    assert set(settings) <= {"trainer", "replay", "evaluation"}
    return dataclasses.replace(parts, config=parts.config.updated(settings))


def make_run(path: Path, parts: Parts, **trainer: Any) -> tuple[RunDirectory, Parts]:
    """Makes or opens a run and returns it with `parts` under these settings of the trainer."""
    parts = with_settings(parts, {"trainer": trainer})
    run = RunDirectory.open_or_create(path, SPEC, parts.game, parts.config.to_dict())
    return run, parts


def train_all(run: RunDirectory, parts: Parts, listener: Listener | None = None) -> Loop:
    """Trains to the planned end."""
    return train(run, parts, listener or Listener())


def everything(loop: Loop) -> dict[str, Any]:
    """Returns all that a resumed run must have as it was, as arrays and plain values."""
    cursor = loop.cursor.to_json()
    del cursor["elapsed_seconds"], cursor["segments"]
    assert loop.playing is not None
    samples = loop.learning.window.sample(512, seed=99, update=0)
    return {
        "state": jax.device_get(loop.state),
        "matches": jax.device_get(loop.playing.matches),
        "collector": loop.playing.collector.state(),
        "cursor": cursor,
        "window": samples,
        "window_size": np.array(loop.learning.window.size),
        "made": np.array([loop.learning.window.positions_made, loop.learning.window.matches_made]),
    }


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Raises unless two results of `everything` are equal bit for bit."""
    assert left["cursor"] == right["cursor"]
    for name in left:
        if name != "cursor":
            jax.tree.map(np.testing.assert_array_equal, left[name], right[name])


def match_files(run: RunDirectory) -> dict[str, bytes]:
    """Returns the files of finished matches with their content."""
    return {
        str(file.relative_to(run.path / "matches")): file.read_bytes()
        for file in sorted((run.path / "matches").rglob("*.parquet"))
    }
