"""The interval of a score: known values, its behaviour at the edges, and how often it is right."""

import math

import numpy as np
import pytest

from selfplay.arena import (
    elo_from_score,
    result_interval,
    score_interval,
    wilson_interval,
)
from selfplay.arena.statistics import (
    Z_95,
    _student,
    difference_interval,
    mean_interval,
    score_from_elo,
)
from selfplay.errors import ConfigError


def test_wilson_interval_of_known_examples():
    # 81 of 263, as in Newcombe, "Two-sided confidence intervals for the single proportion", 1998.
    assert wilson_interval(81 / 263, 263.0) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20.0) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1.0, 20.0) == pytest.approx((0.8389, 1.0), abs=5e-5)


def test_independent_matches_get_the_interval_of_twice_as_many_trials():
    # Won and lost matches paired at random: a quarter 2-0, a half 1-1, a quarter 0-2.
    pairs = [1.0] * 250 + [0.5] * 500 + [0.0] * 250
    assert score_interval(pairs) == pytest.approx(wilson_interval(0.5, 2000.0), abs=1e-3)


def test_pairs_that_are_always_decided_2_0_count_once():
    pairs = [1.0] * 500 + [0.0] * 500
    assert score_interval(pairs) == pytest.approx(wilson_interval(0.5, 1000.0), abs=1e-3)


def test_openings_that_always_win_for_one_seat_say_that_the_agents_are_equal():
    low, high = score_interval([0.5] * 100)
    assert 0.0 < high - low < 0.02


def test_a_clean_sweep_is_no_certainty():
    low, high = score_interval([1.0] * 50)
    assert high == 1.0
    # Three in fifty pairs could still be lost: the "rule of three".
    assert 0.92 < low < 0.97
    assert score_interval([0.0] * 50) == pytest.approx((1 - high, 1 - low))


def test_one_lost_match_changes_the_interval_only_a_little():
    sweep = score_interval([1.0] * 50)
    almost = score_interval([1.0] * 49 + [0.5])
    assert almost.low < sweep.low < almost.low + 0.03


def test_repeated_pairs_are_no_evidence():
    assert score_interval([1.0, 0.5] * 25, distinct_pairs=2) == pytest.approx(
        score_interval([1.0, 0.5]), abs=0.1
    )
    wide, narrow = score_interval([1.0] * 50, distinct_pairs=1), score_interval([1.0] * 50)
    assert wide.low < 0.5 < narrow.low


def test_no_pairs_say_nothing():
    assert score_interval([]) == (0.0, 1.0)


@pytest.mark.parametrize(
    "chances",
    [
        (0.25, 0.0, 0.5, 0.0, 0.25),
        (0.05, 0.1, 0.7, 0.1, 0.05),
        (0.02, 0.0, 0.18, 0.1, 0.7),
        (0.0, 0.0, 0.05, 0.0, 0.95),
    ],
)
def test_the_interval_holds_the_truth_about_19_times_in_20(chances):
    scores = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    truth = float(scores @ np.array(chances))
    counts = np.random.default_rng(0).multinomial(50, chances, size=2000)
    kept = 0
    for row in counts:
        low, high = score_interval(np.repeat(scores, row).tolist())
        kept += low <= truth <= high
    assert 0.93 <= kept / 2000 <= 0.99


def test_elo():
    assert elo_from_score(0.5) == 0
    assert elo_from_score(10 / 11) == pytest.approx(400)
    assert elo_from_score(1.0) == math.inf and elo_from_score(0.0) == -math.inf
    with pytest.raises(ConfigError, match=r"score is 1\.5, but must be between 0 and 1"):
        elo_from_score(1.5)


def test_elo_and_score_are_inverse():
    assert score_from_elo(0) == 0.5
    for elo in (-300.0, -15.0, 40.0):
        assert elo_from_score(score_from_elo(elo)) == pytest.approx(elo)


@pytest.mark.parametrize("pairs", [10, 50])
@pytest.mark.parametrize(
    ("results", "chances"),
    [
        ((0.4, -0.4, 0.1), (0.3, 0.3, 0.4)),
        ((0.02, -0.01, 0.0), (0.5, 0.3, 0.2)),
        ((1.0, -1.0, 0.25), (0.5, 0.4, 0.1)),
    ],
)
def test_the_interval_of_a_mean_result_holds_the_truth_about_19_times_in_20(
    results, chances, pairs
):
    truth = float(np.array(results) @ np.array(chances))
    random = np.random.default_rng(1)
    kept = 0
    for _ in range(1000):
        matches = random.choice(results, p=chances, size=(pairs, 2))
        low, high = result_interval(
            matches.mean(axis=1).tolist(), largest=float(np.abs(matches).max())
        )
        kept += low <= truth <= high
    assert 0.925 <= kept / 1000 <= 0.995


@pytest.mark.parametrize(("degrees", "quantile"), [(2, 4.303), (4, 2.776), (9, 2.262), (49, 2.010)])
def test_quantiles_of_students_t(degrees, quantile):
    assert _student(degrees, Z_95) == pytest.approx(quantile, rel=0.04)


def test_mean_results_at_the_edges():
    low, high = result_interval([0.5] * 20, largest=0.5)
    assert 0.3 < low < 0.5 < high < 0.7
    assert result_interval([0.5]) == result_interval([0.5] * 9, distinct_pairs=2) == (-1.0, 1.0)
    assert result_interval([1.0] * 20).high == 1.0
    # Small margins have small intervals.
    low, high = result_interval([0.01, 0.02, 0.0, 0.03] * 5, largest=0.05)
    assert 0.0 < low < 0.015 < high < 0.03
    wide = result_interval([0.1, -0.1] * 10, distinct_pairs=4)
    narrow = result_interval([0.1, -0.1] * 10)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        # Newcombe, "Interval estimation for the difference between independent proportions",
        # 1998, table II, method 10.
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_differences_of_proportions(first, second, wanted):
    (a, m), (b, n) = first, second
    found = difference_interval(
        a / m, wilson_interval(a / m, float(m)), b / n, wilson_interval(b / n, float(n))
    )
    assert found == pytest.approx(wanted, abs=1e-4)


def test_the_interval_of_a_mean_holds_what_it_promises():
    random = np.random.default_rng(2)
    kept = 0
    for _ in range(1000):
        lengths = random.poisson(30, size=12)
        found = mean_interval(lengths.tolist())
        assert found is not None
        kept += found.low <= 30 <= found.high
    assert 0.925 <= kept / 1000 <= 0.97
    assert mean_interval([3.0, 4.0]) is None
    assert mean_interval([3.0, 4.0] * 9, distinct=2) is None
    assert mean_interval([5.0] * 9) == (5.0, 5.0)
