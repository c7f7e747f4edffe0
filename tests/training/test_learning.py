"""Updates follow each other on the device while the host draws what they need."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array

from selfplay.errors import GameContractError, NonFiniteError
from selfplay.learner import Learner
from selfplay.training.learning import Learning
from selfplay.training.trainer import Trainer
from tests.replay.test_target_faults import NanTarget
from tests.training.fixtures import MakeRun
from tests.training.runs import Listener, train_all


class Device:
    """Takes updates and says when; makes none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, learning: Learning, *, most: int) -> None:
        self.log: list[str] = []
        self.rates: list[list[float]] = []
        self.finite = 1.0
        batches = learning.window.batches

        def draw(batch_size: int, *, seed: int, updates: list[int]) -> Any:
            self.log.append(" ".join(["draw", *map(str, updates)]))
            return batches(batch_size, seed=seed, updates=updates)

        def updates(
            _: Learner,
            state: Any,
            samples: Any,
            *,
            learning_rates: list[float],
            count: int,
            key: Any,
        ) -> tuple[Any, dict[str, Array]]:
            assert {len(leaf) for leaf in jax.tree.leaves(samples)} == {most}
            self.log.append(f"make {count}")
            self.rates.append(learning_rates)
            ones = jnp.ones(most)
            return state, {"total": 2 * ones, "gradient_norm": ones, "finite": self.finite * ones}

        def wait(report: Any) -> Any:
            self.log.append(f"wait for {report[0]}")
            return report

        monkeypatch.setattr(learning.window, "batches", draw)
        monkeypatch.setattr(Learner, "most_updates", lambda self, samples: most)
        monkeypatch.setattr(Learner, "calls_ahead", lambda self, samples: 1)
        monkeypatch.setattr(Learner, "updates", updates)
        monkeypatch.setattr(jax, "block_until_ready", wait)


@pytest.fixture
def learning(new_run: MakeRun) -> Learning:
    """Returns the learning half of a run after eight updates."""
    run, components = new_run(updates=8)
    train_all(run, components)
    return Trainer(run, components, Listener()).learning


def test_the_next_samples_are_drawn_while_updates_are_made(
    learning: Learning, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(monkeypatch, learning, most=3)
    learning.learn(7, time_share=0.0)
    first = ["draw 8 9 10", "make 3"]
    second = ["draw 11 12 13", "make 3", "wait for 3"]
    assert device.log == [*first, *second, "draw 14 14 14", "make 1", "wait for 3"]
    # Always as many rows, so that nothing is compiled again.
    assert [len(rates) for rates in device.rates] == [3, 3, 3]
    assert device.rates[-1][1:] == [0.0, 0.0]
    assert learning.rate == device.rates[-1][0] > 0
    assert learning.losses == {"total": 2.0, "gradient_norm": 1.0}


def test_the_rate_rises_with_every_update_of_a_call(
    learning: Learning, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three updates of warm-up lie behind: from the beginning they rise, then they stay.
    learning.state = learning.components.learner.init(key=jax.random.key(0))
    device = Device(monkeypatch, learning, most=5)
    learning.learn(5, time_share=0.0)
    assert device.rates == [pytest.approx([0.005, 0.01, 0.015, 0.02, 0.02])]
    assert device.log[0] == "draw 0 1 2 3 4"


def test_one_bad_update_of_many_stops_the_trainer(
    learning: Learning, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(monkeypatch, learning, most=4)
    device.finite = 0.0
    with pytest.raises(NonFiniteError, match="not finite near update 8"):
        learning.learn(4, time_share=0.0)


def test_a_game_that_gives_nan_targets_is_blamed_and_not_the_learning_rate(
    learning: Learning, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(monkeypatch, learning, most=4)
    device.finite = 0.0
    learning.components = dataclasses.replace(learning.components, game=NanTarget())
    with pytest.raises(GameContractError, match=r"auxiliary_targets\['share'\] holds nan") as found:
        learning.learn(4, time_share=0.0)
    assert "after the moves " in found.value.hint
    assert isinstance(found.value.__cause__, NonFiniteError)
