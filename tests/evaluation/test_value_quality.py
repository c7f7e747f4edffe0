"""Values beside outcomes: errors, calibration, and how sure they are."""

import math

import numpy as np
import pytest

from selfplay.evaluation.value_quality import value_quality


def test_a_table_by_hand() -> None:
    values = np.array([0.5, -0.5, 0.5, -0.5, 0.1, 0.0], np.float32)
    outcomes = np.array([1, -1, -1, 1, 0, 0], np.float32)
    found = value_quality(values, outcomes, np.array([0, 0, 1, 1, 2, 2]))
    assert found is not None
    assert (found.positions, found.matches) == (6, 3)
    assert found.squared_error == pytest.approx((0.25 * 2 + 2.25 * 2 + 0.01) / 6)
    assert found.sign_accuracy == 0.5
    assert found.bias.value == pytest.approx(0.1 / 6)
    assert [(round(row.low, 1), row.positions) for row in found.calibration] == [
        (-0.6, 2), (0.0, 2), (0.4, 2)
    ]  # fmt: skip
    assert [row.mean_outcome for row in found.calibration] == [0.0, 0.0, 0.0]
    # In a tenth with two matches nobody can say how sure its mean is.
    row = found.to_dict()["calibration"][0]
    assert (row["outcome_low"], row["outcome_high"]) == (-1.0, 1.0)


def test_no_positions_and_no_winners() -> None:
    none = np.zeros(0, np.float32)
    assert value_quality(none, none, np.zeros(0, np.int64)) is None
    zeros = np.zeros(4, np.float32)
    found = value_quality(zeros, zeros, np.array([0, 1, 2, 3]))
    assert found is not None
    assert (found.sign_accuracy, found.slope, found.correlation) == (None, None, 0.0)


@pytest.mark.parametrize(("scale", "slope"), [(1.0, 1.0), (0.5, 2.0), (2.0, 0.5)])
def test_the_slope_of_values_that_are_too_sure_or_too_timid(scale: float, slope: float) -> None:
    random = np.random.default_rng(3)
    true = random.uniform(-0.5, 0.5, 4000)
    outcomes = np.where(random.uniform(size=4000) < (1 + true) / 2, 1, -1).astype(np.float32)
    found = value_quality((scale * true).astype(np.float32), outcomes, np.arange(4000))
    assert found is not None and found.slope is not None
    low, high = found.slope.interval
    assert low < slope < high
    assert high - low < 0.5 * slope


def test_intervals_count_matches_and_not_positions() -> None:
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        # Twenty positions of each of forty matches share its outcome.
        outcomes = np.repeat(random.choice([-1.0, 1.0], 40), 20).astype(np.float32)
        found = value_quality(np.zeros(800, np.float32), outcomes, np.repeat(np.arange(40), 20))
        assert found is not None
        low, high = found.bias.interval
        inside += low <= 0 <= high
    # Counted by positions about 34 % would lie inside.
    assert inside / 200 > 0.9


def test_with_two_matches_nothing_is_sure() -> None:
    found = value_quality(
        np.array([0.1, 0.2], np.float32), np.array([1, -1], np.float32), np.array([0, 1])
    )
    assert found is not None
    assert found.bias.interval == (-math.inf, math.inf)
    assert found.bias.to_dict()["low"] is None
