"""Batches of real positions, and targets with known numbers."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from selfplay.game import Game
from selfplay.learner.targets import Targets
from selfplay.registry import make
from selfplay.replay import ReplayWindow, Samples
from selfplay.settings.sections import ReplayConfig
from tests.records.examples import RandomMatches

EXAMPLE = "docs/examples/domineering.py:Domineering"


@functools.cache
def game(name: str) -> Game[Any]:
    """Returns a small game, made once."""
    options: dict[str, dict[str, int]] = {
        "othello": {"size": 6},
        "connect_four": {"rows": 4, "columns": 4},
        EXAMPLE: {"size": 4},
    }
    return make(name, **options.get(name, {}))


@functools.cache
def data_set(name: str, matches: int = 24) -> ReplayWindow:
    """Returns a window with random matches of a game."""
    records = [example.record for example in RandomMatches(game(name)).several(matches)]
    total = sum(record.plies for record in records)
    window = ReplayWindow(
        game(name), ReplayConfig(min_window=total, max_window=total, value_lambda=0.0)
    )
    window.ingest(records)
    return window


def batch(name: str, size: int = 32, number: int = 0) -> Samples:
    """Returns one batch of random matches, always the same."""
    return data_set(name).sample(size, seed=0, update=number)


def targets(**changes: Any) -> Targets:
    """Returns targets of four positions with five actions, the last of which is illegal."""
    policy = np.array(
        [[0.7, 0.3, 0, 0, 0], [0, 0, 1, 0, 0], [0.25, 0.25, 0.25, 0.25, 0], [0, 0, 0, 0, 0]]
    )
    values: dict[str, Any] = {
        "observations": np.zeros((4, 2)),
        "legal": np.array([[True] * 4 + [False]] * 4),
        "policy": policy,
        "policy_weights": np.array([1.0, 1.0, 0.0, 0.0]),
        "next_policy": policy[::-1],
        "next_weights": np.array([0.0, 1.0, 1.0, 1.0]),
        "outcomes": np.array([1.0, -1.0, 0.0, 1.0]),
        "outcome_weights": np.array([1.0, 1.0, 1.0, 0.0]),
        "search_values": np.array([0.5, -0.2, 0.1, -1.0]),
        "short_term_values": np.array([[0.1, 0.2, 0.3]] * 4),
        "progress": np.array([0.0, 0.25, 0.5, 1.0]),
        "counts": np.ones(4),
    } | changes
    values.setdefault("draws", 1 - np.abs(np.asarray(values["outcomes"])))
    arrays = {
        name: jnp.asarray(value, jnp.bool_ if name == "legal" else jnp.float32)
        for name, value in values.items()
        if name != "auxiliary"
    }
    return Targets(**arrays, auxiliary=values.get("auxiliary", {}))
