"""The sequential test: known ratios, how often it errs, and what it refuses."""

import math

import numpy as np
import pytest
from scipy import optimize

from selfplay.arena.rating.sequential import (
    log_likelihood_ratios,
    pair_counts,
    sequential_bounds,
    sequential_test,
)
from selfplay.arena.statistics import PAIR_SCORES, elo_from_score, score_from_elo
from selfplay.errors import ConfigError

SCORES = np.array(PAIR_SCORES)
# Results of pairs at equal strength: many draws, hardly any, and openings that one seat wins.
KINDS = {
    "draws": (0.02, 0.15, 0.66, 0.15, 0.02),
    "decided": (0.25, 0.02, 0.46, 0.02, 0.25),
    "one seat": (0.03, 0.05, 0.84, 0.05, 0.03),
}


def chances(kind: str, elo: float) -> np.ndarray:
    """Returns the probabilities of the five results at a difference in Elo."""
    mean = score_from_elo(elo)

    def tilted(tilt: float) -> np.ndarray:
        weights = np.array(KINDS[kind]) * np.exp(tilt * SCORES)
        return weights / weights.sum()

    tilt = optimize.brentq(lambda value: tilted(value) @ SCORES - mean, -20, 20)
    return tilted(tilt)


def verdicts(
    kind: str, elo: float, *, elo0: float, elo1: float, tests: int, most_pairs: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the verdicts of tests (-1 for elo0, 1 for elo1, 0 if open) and their pairs.

    Every test is looked at after every 16 pairs.
    """
    lower, upper = sequential_bounds(elo0=elo0, elo1=elo1, alpha=0.05, beta=0.05)
    random = np.random.default_rng(seed)
    counts = np.zeros((tests, 5))
    verdict, pairs = np.zeros(tests, int), np.full(tests, most_pairs)
    for played in range(16, most_pairs + 1, 16):
        going = np.flatnonzero(verdict == 0)
        if not going.size:
            break
        counts[going] += random.multinomial(16, chances(kind, elo), size=going.size)
        ratios = log_likelihood_ratios(counts[going], elo0=elo0, elo1=elo1)
        verdict[going] = np.where(ratios >= upper, 1, np.where(ratios <= lower, -1, 0))
        pairs[going[verdict[going] != 0]] = played
    return verdict, pairs


def test_a_ratio_is_that_of_the_likeliest_shares():
    """Against a general optimiser, which knows nothing of the shape of the solution."""
    counts = np.array([3.0, 20.0, 50.0, 35.0, 12.0])

    def best(elo: float) -> float:
        found = optimize.minimize(
            lambda shares: -counts @ np.log(shares),
            counts / counts.sum(),
            jac=lambda shares: -counts / shares,
            bounds=[(1e-9, 1)] * 5,
            constraints=[
                {"type": "eq", "fun": lambda shares: shares.sum() - 1},
                {"type": "eq", "fun": lambda shares: shares @ SCORES - score_from_elo(elo)},
            ],
            options={"maxiter": 500, "ftol": 1e-12},
        )
        assert found.success
        return -float(found.fun)

    ratio = float(log_likelihood_ratios(counts, elo0=0, elo1=40))
    assert ratio == pytest.approx(best(40) - best(0), abs=1e-4)


def test_the_state_of_a_test():
    pairs = [1.0] * 15 + [0.5] * 80 + [0.0] * 5
    state = sequential_test(pairs, elo0=-15, elo1=0)
    assert state.pairs == 100 and state.verdict == "open"
    assert (state.lower, state.upper) == pytest.approx((-math.log(19), math.log(19)))
    assert 0 < state.log_likelihood_ratio < state.upper
    # Near the normal approximation, whose variance is 0.0475 here.
    low = score_from_elo(-15)
    normal = 100 * (0.5 - low) * (1.1 - low - 0.5) / (2 * 0.0475)
    assert state.log_likelihood_ratio == pytest.approx(normal, rel=0.1)
    assert sequential_test(pairs * 3, elo0=-15, elo1=0).verdict == "elo1"
    worse = [1 - score for score in pairs]
    assert sequential_test(worse * 3, elo0=-15, elo1=0).verdict == "elo0"
    assert sequential_test([], elo0=0, elo1=5).verdict == "open"


def test_the_bounds_follow_the_errors_that_are_allowed():
    lower, upper = sequential_bounds(elo0=0, elo1=5, alpha=0.01, beta=0.2)
    assert upper == pytest.approx(math.log(0.8 / 0.01))
    assert lower == pytest.approx(math.log(0.2 / 0.99))


def test_a_few_pairs_decide_nothing():
    """However clear they look: nothing has been seen of the other results yet."""
    for score in PAIR_SCORES:
        assert sequential_test([score] * 4, elo0=0, elo1=15).verdict == "open"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("truth", ["elo0", "elo1"])
def test_it_errs_as_seldom_as_it_says(kind, truth):
    # Differences that take about equally many pairs.
    elo0, elo1, tests = 0.0, {"draws": 50.0, "decided": 90.0, "one seat": 20.0}[kind], 1500
    verdict, _ = verdicts(
        kind,
        {"elo0": elo0, "elo1": elo1}[truth],
        elo0=elo0,
        elo1=elo1,
        tests=tests,
        most_pairs=6400,
        seed=sum(kind.encode()),
    )
    assert not (verdict == 0).any()
    wrong = float((verdict == {"elo0": 1, "elo1": -1}[truth]).mean())
    # 5 % and three standard errors of that many tests; and it is no test that hardly ever errs.
    assert 0.015 < wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / tests)


def test_outside_of_the_hypotheses_it_errs_hardly_ever_and_ends_sooner():
    bounds = {"elo0": 0.0, "elo1": 50.0}
    verdict, pairs = verdicts("draws", 90.0, **bounds, tests=500, most_pairs=6400, seed=1)
    between, longest = verdicts("draws", 25.0, **bounds, tests=500, most_pairs=6400, seed=2)
    assert (verdict == 1).mean() > 0.995
    assert pairs.mean() < longest.mean() / 2
    assert 0.3 < (between == 1).mean() < 0.7


def test_scores_become_counts():
    assert pair_counts([0.0, 1.0, 0.75, 0.5, 0.5]).tolist() == [1, 0, 2, 1, 1]
    assert elo_from_score(score_from_elo(12.0)) == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"elo0": 5, "elo1": 5}, "elo0 is 5, but must be below elo1, which is 5"),
        ({"elo0": 9, "elo1": 5}, "elo0 is 9, but must be below elo1, which is 5"),
        ({"elo0": math.nan, "elo1": 5}, "elo0 is nan, but must be below elo1"),
        ({"elo0": 0, "elo1": 5, "alpha": 0}, "alpha is 0, but must be above 0 and below 1"),
        ({"elo0": 0, "elo1": 5, "beta": 1}, "beta is 1, but must be above 0 and below 1"),
        (
            {"elo0": 0, "elo1": 5, "alpha": 0.6, "beta": 0.4},
            r"alpha is 0\.6 and beta is 0\.4, but their sum must be below 1",
        ),
    ],
)
def test_it_refuses_what_contradicts_itself(bounds, message):
    with pytest.raises(ConfigError, match=message) as caught:
        sequential_test([0.5], **bounds)
    assert caught.value.hint
