"""Policy surprise weighting: weights worked out by hand, and draws that follow them."""

import dataclasses
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.mcts import policy_surprise
from selfplay.records import MatchRecord, decode_matches, encode_matches
from selfplay.registry import make
from selfplay.replay import ReplayWindow
from selfplay.replay.weights import WeightSums, surprise_weights
from selfplay.settings.sections import ReplayConfig
from tests.records.examples import RandomMatches

TIC_TAC_TOE = make("tic_tac_toe")


def match(surprises: list[float], targets: list[bool] | None = None) -> MatchRecord:
    """Returns a match of that length with such surprises."""
    play = RandomMatches(TIC_TAC_TOE)
    found = next(
        one.record for one in map(lambda seed: play.play(seed=seed), range(99))
        if one.record.plies == len(surprises)
    )  # fmt: skip
    is_target = np.ones(len(surprises), np.bool_) if targets is None else np.array(targets)
    return dataclasses.replace(
        found, surprises=np.array(surprises, np.float32), is_target=is_target
    )


def test_the_surprise_is_the_divergence_from_the_networks_policy() -> None:
    policy = jnp.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]], jnp.float32)
    raw = jnp.array([[0.25, 0.75, 0.0], [0.125, 0.375, 0.5], [0.2, 0.3, 0.5]], jnp.float32)
    wanted = [0.5 * np.log(2) + 0.5 * np.log(2 / 3), np.log(8), 0.0]
    np.testing.assert_allclose(policy_surprise(policy, raw), wanted, atol=1e-6)
    # A network that gives an action no chance at all is surprised, but not beyond all bounds.
    assert 60 < policy_surprise(jnp.ones((1, 1)), jnp.zeros((1, 1)))[0] < 80


def test_surprising_positions_weigh_more_and_the_mean_stays_one() -> None:
    even = match([0.0, 1.0, 3.0, 9.0, 0.0, 2.0, 0.0], [True, True, True, False, True, True, True])
    # Of the six targets the mean surprise is 1.
    np.testing.assert_allclose(surprise_weights(even, 0.5), [0.5, 1, 2, 1, 0.5, 1.5, 0.5])
    np.testing.assert_allclose(surprise_weights(even, 1.0), [0, 1, 3, 1, 0, 2, 0])
    np.testing.assert_array_equal(surprise_weights(even, 0.0), 1)


@pytest.mark.parametrize("unknown", [-1.0, float("nan"), float("inf")])
def test_what_is_not_known_weighs_one(unknown: float) -> None:
    some = match([unknown, 1.0, 3.0, unknown, unknown, unknown, unknown])
    np.testing.assert_allclose(surprise_weights(some, 0.5), [1, 0.75, 1.25, 1, 1, 1, 1])
    np.testing.assert_array_equal(surprise_weights(match([unknown] * 7), 0.5), 1)
    np.testing.assert_array_equal(surprise_weights(match([0.0] * 7), 0.5), 1)


def test_positions_are_drawn_in_proportion_to_their_weights() -> None:
    weights = np.array([0.0, 1.0, 0.0, 2.0, 1.0, 0.0], np.float32)
    sums = WeightSums(6)
    sums.add(weights)
    ages = sums.draw(np.random.default_rng(0), 40_000, newest=6)
    shares = np.bincount(5 - ages, minlength=6) / 40_000
    np.testing.assert_allclose(shares, weights / 4, atol=0.01)
    assert not shares[weights == 0].any()


@pytest.mark.parametrize("size", [7, 8, 30])
def test_only_the_newest_positions_are_drawn_wherever_they_lie_in_the_ring(size: int) -> None:
    random = np.random.default_rng(0)
    sums, added = WeightSums(size), np.zeros(0, np.float32)
    for count in [3, 7, 1, 5, 6, 7, 2, 4]:
        weights = random.integers(0, 4, count).astype(np.float32) + (np.arange(count) == 0)
        sums.add(weights)
        added = np.append(added, weights)
        for newest in range(count, min(size, len(added)) + 1):
            ages = sums.draw(np.random.default_rng(newest), 3000, newest=newest)
            by_age = added[::-1][:newest]
            shares = np.bincount(ages, minlength=newest) / 3000
            np.testing.assert_allclose(shares, by_age / by_age.sum(), atol=0.05)
            assert not shares[by_age == 0].any()


def test_draws_do_not_depend_on_positions_that_are_no_longer_there() -> None:
    random = np.random.default_rng(0)
    long_run, begun_again = WeightSums(50), WeightSums(50)
    for _ in range(200):
        long_run.add(1e3 * random.random(40).astype(np.float32))
    for _ in range(2):
        weights = random.random(40).astype(np.float32)
        long_run.add(weights)
        begun_again.add(weights)
    left, right = (
        one.draw(np.random.default_rng(3), 1000, newest=50) for one in (long_run, begun_again)
    )
    np.testing.assert_array_equal(left, right)


def window(share: float, **settings: int) -> ReplayWindow:
    chosen: dict[str, Any] = {
        "min_window": 40,
        "max_window": 40,
        "first_positions": 1,
        "value_lambda": 0.0,
    }
    return ReplayWindow(TIC_TAC_TOE, ReplayConfig(**(chosen | settings), surprise_share=share))


def test_the_window_samples_by_surprise() -> None:
    surprising = [0.0] * 6 + [1.0]
    replay = window(1.0)
    # What has left the window must not be drawn from: 7 * 6 positions were made.
    for _ in range(6):
        replay.ingest([match(surprising)])
    samples = replay.sample(500, seed=0, update=0)
    last = float(match(surprising).root_values[-1])
    assert Counter(samples.search_values.tolist()) == {last: 500}
    evenly = replay.sample(500, seed=0, update=0, evenly=True)
    assert len(set(evenly.search_values.tolist())) == 7
    # New positions count from the next draw on.
    replay.ingest([match([1.0] + [0.0] * 6)])
    first = float(match(surprising).root_values[0])
    drawn = Counter(replay.sample(6000, seed=0, update=1).search_values.tolist())
    assert set(drawn) == {first, last}
    assert drawn[first] / 6000 == pytest.approx(1 / 6, abs=0.02)


def test_a_restarted_window_draws_as_the_old_one() -> None:
    random = np.random.default_rng(0)
    matches = [match(random.random(7).tolist()) for _ in range(12)]
    whole, again = window(0.5), window(0.5)
    for one in matches:
        whole.ingest([one])
        whole.sample(5, seed=0, update=0)
    again.begin_at(7 * 6, 6)
    again.ingest(matches[6:])
    left, right = (one.sample(64, seed=3, update=8) for one in (whole, again))
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_the_file_keeps_surprises_and_those_that_are_not_known() -> None:
    record = match([0.5, -1.0, 2.0, 0.0, 1.0, -1.0, 3.0])
    (read,) = decode_matches(encode_matches([record]), source="memory")
    np.testing.assert_array_equal(read.surprises, record.surprises)
    assert read.values("ply", 1)["surprise"] is None
    assert read.values("ply", 0)["surprise"] == 0.5
