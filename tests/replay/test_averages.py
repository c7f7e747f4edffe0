"""Targets of positions that come back in many matches: means over the newest of them."""

import dataclasses

import jax
import numpy as np
import pytest

from selfplay.records import MatchRecord
from selfplay.registry import make
from selfplay.replay import ReplayWindow, Samples
from selfplay.replay.averages import average_targets
from selfplay.replay.policies import largest_shares
from selfplay.replay.search_values import lambda_returns
from selfplay.settings.sections import ReplayConfig
from tests.learner.examples import batch
from tests.records.examples import RandomMatches

GAME = make("tic_tac_toe")


@pytest.fixture(scope="module")
def records() -> list[MatchRecord]:
    random_matches = RandomMatches(GAME)
    return [random_matches.play(seed=seed).record for seed in range(12)]


def window(records: list[MatchRecord], average: int, *, begin_at: int = 0) -> ReplayWindow:
    """Returns a window that holds the last eight matches."""
    total = sum(one.plies for one in records[4:])
    config = ReplayConfig(
        min_window=total, max_window=total, first_positions=1, average_positions=average
    )
    found = ReplayWindow(GAME, config)
    if begin_at:
        found.begin_at(sum(one.plies for one in records[:begin_at]), begin_at)
    for one in records[begin_at:]:
        found.ingest([one])
    return found


def numbers(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def first_positions(samples: Samples) -> np.ndarray:
    return np.flatnonzero(np.asarray(samples.progress) == 0)


def dense(record: MatchRecord) -> np.ndarray:
    """Returns the policy of the first ply."""
    policy = np.zeros(9)
    end = record.policy_offsets[1]
    policy[record.policy_actions[:end]] = record.policy_probabilities[:end]
    return policy / policy.sum()


@pytest.mark.parametrize("average", [3, 100])
def test_the_first_position_has_the_means_of_the_newest_matches(
    records: list[MatchRecord], average: int
) -> None:
    # Not those of the four matches that have left the window.
    newest = records[max(4, 12 - average) :]
    samples = window(records, average).sample(200, seed=0, update=0)
    rows = first_positions(samples)
    assert len(rows) > 5
    results = np.array([one.returns[0] for one in newest])
    values = [lambda_returns([one], [ReplayConfig().value_lambda])[0, 0] for one in newest]
    for row in rows:
        policy = np.zeros(9)
        np.add.at(policy, samples.policy_actions[row], samples.policy_probabilities[row])
        np.testing.assert_allclose(policy, np.mean([dense(one) for one in newest], 0), atol=1e-6)
        assert samples.outcomes[row] == pytest.approx(results.mean(), abs=1e-6)
        assert samples.draws[row] == pytest.approx((results == 0).mean(), abs=1e-6)
        assert samples.search_values[row] == pytest.approx(np.mean(values), abs=1e-5)
        assert samples.outcome_weights[row] == 1


def test_a_position_that_is_alone_keeps_its_targets(records: list[MatchRecord]) -> None:
    own, averaged = (window(records, count).sample(200, seed=0, update=0) for count in (1, 100))
    alone = np.asarray(own.progress) > 0.7
    assert alone.sum() > 20
    for name in ("outcomes", "draws", "search_values", "short_term_values", "policy_weights"):
        left, right = (np.asarray(getattr(one, name))[alone] for one in (own, averaged))
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, own.states, averaged.states)


def test_a_restarted_window_averages_as_the_old_one(records: list[MatchRecord]) -> None:
    left = window(records, 100).sample(64, seed=3, update=8)
    right = window(records, 100, begin_at=4).sample(64, seed=3, update=8)
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_only_targets_and_known_outcomes_are_averaged() -> None:
    own = batch("connect_four", size=2)
    known = {"outcome_weights": numbers(1, 0), "draws": numbers(0, 0)}
    fast, full = (
        dataclasses.replace(own, policy_weights=weights, outcomes=outcomes, **known)
        for weights, outcomes in ((numbers(0, 1), numbers(1, 1)), (numbers(1, 0), numbers(-1, -1)))
    )
    rows = np.arange(2)
    found = average_targets(fast, [(rows, fast), (rows, full)], 4)
    np.testing.assert_array_equal(found.outcomes, [0, 0])
    np.testing.assert_array_equal(found.outcome_weights, [1, 0])
    np.testing.assert_array_equal(found.draws, [0, 0])  # won and lost, not drawn
    np.testing.assert_array_equal(found.policy_weights, [1, 1])
    first, second = (
        jax.tree.map(lambda leaf, row=row: leaf[row : row + 1], one)
        for row, one in enumerate((fast, full))
    )
    none = average_targets(fast, [(rows[:1], first), (rows[1:], second)], 4)
    assert not none.policy_weights.any()


def test_the_largest_shares_of_a_wide_policy_are_kept() -> None:
    shares = np.array([[0.1, 0.4, 0.0, 0.5], [0.3, 0.0, 0.6, 0.1]], np.float32)
    actions, kept = largest_shares(shares, 2)
    assert [set(row) for row in actions.tolist()] == [{1, 3}, {0, 2}]
    np.testing.assert_array_equal(kept, np.take_along_axis(shares, actions, axis=1))
    actions, kept = largest_shares(shares, 9)
    np.testing.assert_array_equal(kept, shares)
    np.testing.assert_array_equal(actions, [[0, 1, 2, 3]] * 2)
