"""The learning rate at given updates, for every schedule."""

import dataclasses
import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from selfplay.learner import Plateau, Stall, learning_rate
from selfplay.learner import schedule as schedules
from selfplay.learner.schedule import LEAST_SCALE
from selfplay.settings.sections import LearnerConfig
from selfplay.settings.sections.learner import SCHEDULES

PEAK = 0.1


def rate(progress: float, *, update: int = 10**6, scale: float = 1.0, **settings: Any) -> float:
    """Returns the rate of a schedule without warm-up."""
    config = LearnerConfig(learning_rate=PEAK, **{"warmup_updates": 0} | settings)
    return learning_rate(config, update=update, progress=progress, plateau_scale=scale)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_warm_up_is_linear_and_reaches_the_peak(schedule: str) -> None:
    config = LearnerConfig(learning_rate=PEAK, schedule=schedule, warmup_updates=4)
    rates = [learning_rate(config, update=update, progress=0.0) for update in range(7)]
    wanted = [0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1]
    assert rates == pytest.approx(wanted)
    none = dataclasses.replace(config, warmup_updates=0)
    assert learning_rate(none, update=0, progress=0.0) == pytest.approx(PEAK)


@pytest.mark.parametrize(
    ("schedule", "settings", "points"),
    [
        ("constant", {}, {0.0: 1.0, 0.5: 1.0, 1.0: 1.0}),
        ("tail", {"tail_share": 0.4}, {0.0: 1.0, 0.6: 1.0, 0.7: 0.75, 0.8: 0.5, 1.0: 0.0}),
        ("auto", {"tail_share": 0.4}, {0.0: 1.0, 0.6: 1.0, 0.8: 0.5, 1.0: 0.0}),
        ("tail", {"tail_share": 1.0}, {0.0: 1.0, 0.25: 0.75, 1.0: 0.0}),
        ("cosine", {}, {0.0: 1.0, 1 / 3: 0.75, 0.5: 0.5, 2 / 3: 0.25, 1.0: 0.0}),
        (
            "cosine_restarts",
            {"schedule_cycles": 2},
            {0.0: 1.0, 0.25: 0.5, 0.4999: 0.0, 0.5: 1.0, 0.75: 0.5, 1.0: 0.0},
        ),
        (
            "step",
            {"schedule_cycles": 4, "step_factor": 0.5},
            {0.0: 1.0, 0.24: 1.0, 0.26: 0.5, 0.5: 0.25, 0.75: 0.125, 1.0: 0.125},
        ),
        ("plateau", {}, {0.0: 1.0, 0.9: 1.0}),
    ],
)
def test_the_rate_over_the_plan(
    schedule: str, settings: dict[str, Any], points: dict[float, float]
) -> None:
    for progress, factor in points.items():
        found = rate(progress, schedule=schedule, **settings)
        assert found == pytest.approx(PEAK * factor, abs=1e-6), progress


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_progress_beyond_the_plan_is_its_end(schedule: str) -> None:
    assert rate(1.5, schedule=schedule) == rate(1.0, schedule=schedule)
    assert rate(-0.5, schedule=schedule) == rate(0.0, schedule=schedule)


def test_the_plateau_scale_counts_for_its_schedule_alone() -> None:
    assert rate(0.0, schedule="plateau", scale=0.3) == pytest.approx(0.03)
    assert rate(0.0, schedule="constant", scale=0.3) == pytest.approx(PEAK)


CONFIG = LearnerConfig(schedule="plateau", plateau_updates=100, step_factor=0.5)


def follow(losses: list[float], updates: int = 10) -> list[float]:
    """Returns the scale after each report of `updates` updates with that mean loss."""
    plateau, scales = Plateau(), []
    for loss in losses:
        plateau = plateau.observe(loss, updates, CONFIG)
        scales.append(plateau.scale)
    return scales


def test_a_falling_loss_keeps_the_rate() -> None:
    assert set(follow([2.0 - 0.01 * step for step in range(100)])) == {1.0}


def test_a_flat_loss_lowers_it_again_and_again() -> None:
    scales = follow([1.0] * 32)
    # The first report sets the mark; 100 updates later the rate falls, and again after 100 more.
    assert scales[:10] == [1.0] * 10
    assert scales[10:20] == [0.5] * 10
    assert scales[30] == 0.125


def test_one_lucky_report_does_not_hide_a_plateau() -> None:
    scales = follow([1.0] * 5 + [0.9999] * 3 + [1.0] * 30)
    assert scales[-1] < 1.0


def test_a_plateau_survives_the_metadata_of_a_checkpoint() -> None:
    for plateau in (Plateau(), Plateau().observe(1.25, 7, CONFIG)):
        # Strict JSON: other programs refuse Infinity.
        text = json.dumps(dataclasses.asdict(plateau), allow_nan=False)
        assert Plateau(**json.loads(text)) == plateau


def test_late_batches_begin_with_the_tail_and_step_by_the_number_of_the_update() -> None:
    config = LearnerConfig(
        schedule="constant", warmup_updates=0, tail_share=0.25, late_batches=3, learning_rate=0.5
    )
    early = [learning_rate(config, update=update, progress=0.74) for update in range(6)]
    late = [learning_rate(config, update=update, progress=0.75) for update in range(6)]
    assert early == [0.5] * 6
    assert late == [0.0, 0.0, 0.5] * 2


def test_without_an_end_the_auto_schedule_follows_the_stall() -> None:
    config = LearnerConfig(learning_rate=PEAK, warmup_updates=0)
    assert config.schedule == "auto"
    found = learning_rate(config, update=9, progress=None, stall_scale=0.25)
    assert found == pytest.approx(PEAK / 4)
    planned = learning_rate(config, update=9, progress=0.0, stall_scale=0.25)
    assert planned == pytest.approx(PEAK)
    constant = dataclasses.replace(config, schedule="constant")
    assert learning_rate(constant, update=9, progress=None, stall_scale=0.25) == PEAK


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the loss count after 500 updates instead of 5,000."""
    monkeypatch.setattr(schedules, "FIRST_UPDATES", 500)


def halvings(losses: Iterable[float]) -> list[int]:
    """Returns the updates after which the rate was halved."""
    stall, found = Stall(), []
    for loss in losses:
        before, stall = stall, stall.observe(loss)
        if stall.scale < before.scale:
            found.append(stall.updates)
    return found


def noisy(level: Callable[[int], float], updates: int) -> Iterator[float]:
    """Yields losses around `level` of the update, with the noise of batches."""
    draw = random.Random(0)
    return (level(update) + draw.gauss(0.0, 0.05) for update in range(updates))


@pytest.mark.usefixtures("short_runs")
def test_a_loss_that_falls_under_its_noise_keeps_the_rate() -> None:
    # A tenth of what the noise of one batch is, each time that the updates double.
    assert not halvings(noisy(lambda update: 2.0 * (update + 1) ** -0.02, 10_000))


@pytest.mark.usefixtures("short_runs")
def test_a_flat_loss_halves_the_rate_whenever_the_updates_have_doubled() -> None:
    found = halvings(noisy(lambda update: 1.5, 9_000))
    assert found[0] >= 1_000
    for earlier, later in itertools.pairwise(found):
        assert later >= 2 * earlier
    assert 3 <= len(found) <= 4


@pytest.mark.usefixtures("short_runs")
def test_a_rising_loss_does_so_too_and_no_rate_vanishes() -> None:
    assert len(halvings(1.0 + 1e-6 * update for update in range(4_500))) == 3
    assert Stall(scale=LEAST_SCALE, updates=10**7, smoothed=1.0, best=1.0, best_at=1).observe(
        1.0
    ).scale == pytest.approx(LEAST_SCALE)


def test_a_stall_survives_the_metadata_of_a_checkpoint() -> None:
    stall = Stall()
    for loss in (3.0, 2.0, 2.5):
        stall = stall.observe(loss)
    assert Stall(**json.loads(json.dumps(dataclasses.asdict(stall)))) == stall
