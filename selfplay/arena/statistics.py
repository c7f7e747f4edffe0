"""What a number of match results says about two agents, with its uncertainty."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from selfplay.errors import ConfigError

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: two-sided 95 %."""

PAIR_SCORES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The mean scores that a pair of matches can have."""

# One imagined pair, spread over the five results. Without it fifty won pairs would have no
# variance at all, and an interval of no width.
_PRIOR_COUNT = 0.2


class Interval(NamedTuple):
    """The bounds of a 95 % confidence interval."""

    low: float
    high: float


def wilson_interval(score: float, trials: float, *, z: float = Z_95) -> Interval:
    """Returns the interval of a proportion; sensible also at 0 and at 1.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Args:
        score: the observed proportion, in [0, 1].
        trials: how many independent trials it was observed in, above 0.
        z: quantile of the normal distribution.
    """
    centre = (score + z**2 / (2 * trials)) / (1 + z**2 / trials)
    margin = z * math.sqrt(score * (1 - score) / trials + z**2 / (4 * trials**2))
    margin /= 1 + z**2 / trials
    # At 0 and 1 the bound is exact; rounding must not leave it a hair inside.
    low = 0.0 if score == 0 else max(0.0, centre - margin)
    high = 1.0 if score == 1 else min(1.0, centre + margin)
    return Interval(low=low, high=high)


def score_interval(
    pair_scores: Sequence[float], *, distinct_pairs: int | None = None, z: float = Z_95
) -> Interval:
    """Returns the 95 % interval of the mean score over pairs of matches.

    The two matches of a pair begin with the same opening, seats swapped, so they are not
    independent: what varies is the score of the pair, one of 0, 1/4, 1/2, 3/4, 1 (the
    pentanomial model). Its variance says how many independent win-or-lose trials the pairs are
    worth (`independent_trials`), and Wilson's interval is taken with that many: twice the pairs
    if the two matches of a pair behave independently, fewer where the agents decide all pairs
    2-0, more where every opening is won by the same seat.

    Args:
        pair_scores: mean score of the two matches of each pair, in [0, 1].
        distinct_pairs: how many of the pairs differ in a move; a repeated match is no new
            evidence. By default all of them.
        z: quantile of the normal distribution.
    """
    if not pair_scores:
        return Interval(low=0.0, high=1.0)
    trials = independent_trials(pair_scores, distinct_pairs=distinct_pairs)
    return wilson_interval(math.fsum(pair_scores) / len(pair_scores), trials, z=z)


def independent_trials(pair_scores: Sequence[float], *, distinct_pairs: int | None = None) -> float:
    """Returns how many independent matches, each won or lost, the pairs are worth as evidence.

    The variance of a mean of so many would be that of the mean score of the pairs, with one
    imagined pair among them (a design effect: Rao and Scott, "A simple method for the analysis
    of clustered binary data", 1992).

    Args:
        pair_scores: mean score of the two matches of each pair, in [0, 1]; at least one.
        distinct_pairs: as in `score_interval`.
    """
    smoothed, variance = _smoothed(pair_scores)
    pairs = len(pair_scores)
    independent = pairs if distinct_pairs is None else min(pairs, distinct_pairs)
    return independent * smoothed * (1 - smoothed) / variance


def result_interval(
    pair_results: Sequence[float],
    *,
    largest: float = 1.0,
    distinct_pairs: int | None = None,
    z: float = Z_95,
) -> Interval:
    """Returns the 95 % interval of the mean result, for games whose result is a score.

    By Student's t over pairs of matches, with one imagined pair whose result is
    spread evenly over the range: without it equal results would leave no uncertainty.

    Args:
        pair_results: mean result of the two matches of each pair, in [-1, 1].
        largest: of the results of single matches, without their sign; the range, in (0, 1].
        distinct_pairs: how many of the pairs differ in a move, as in `score_interval`.
        z: quantile of the normal distribution.
    """
    pairs = len(pair_results)
    independent = pairs if distinct_pairs is None else min(pairs, distinct_pairs)
    if independent < 3:
        return Interval(low=-1.0, high=1.0)
    mean = math.fsum(pair_results) / pairs
    imagined = [largest * (2 * score - 1) for score in PAIR_SCORES]
    spread = math.fsum((result - mean) ** 2 for result in pair_results)
    spread += _PRIOR_COUNT * math.fsum((result - mean) ** 2 for result in imagined)
    variance = spread / (pairs + _PRIOR_COUNT * len(imagined) - 1)
    margin = _student(independent - 1, z) * math.sqrt(variance / independent)
    return Interval(low=max(-1.0, mean - margin), high=min(1.0, mean + margin))


def mean_interval(
    values: Sequence[float], *, distinct: int | None = None, z: float = Z_95
) -> Interval | None:
    """Returns the 95 % interval of a mean of any numbers, by Student's t.

    Args:
        values: one for each match.
        distinct: how many of the matches differ; a repeated match is no new evidence. By default
            all of them.
        z: quantile of the normal distribution.

    Returns:
        None if fewer than three matches differ: then nothing is known of the spread.
    """
    count = len(values)
    independent = count if distinct is None else min(count, distinct)
    if independent < 3:
        return None
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    margin = _student(independent - 1, z) * math.sqrt(variance / independent)
    return Interval(low=mean - margin, high=mean + margin)


def difference_interval(
    first: float, first_interval: Interval, second: float, second_interval: Interval
) -> Interval:
    """Returns the 95 % interval of `first - second`, two independent means.

    From the intervals of both by the method of variance estimates recovery: Newcombe, "Interval
    estimation for the difference between independent proportions", 1998, method 10.
    """
    below = math.hypot(first - first_interval.low, second_interval.high - second)
    above = math.hypot(first_interval.high - first, second - second_interval.low)
    return Interval(low=first - second - below, high=first - second + above)


def _student(degrees: int, z: float) -> float:
    """Returns the quantile of Student's t, 2 degrees or more, that `z` is of the normal one.

    Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, 26.7.5.
    """
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return math.fsum(term / degrees**power for power, term in enumerate(terms))


def elo_from_score(score: float) -> float:
    """Returns the Elo difference at which `score`, in [0, 1], is expected; infinite at 0 and 1."""
    if not 0 <= score <= 1:
        raise ConfigError(f"score is {score:g}, but must be between 0 and 1")
    if score in (0, 1):
        return math.inf if score == 1 else -math.inf
    return 400 * math.log10(score / (1 - score))


def score_from_elo(elo: float) -> float:
    """Returns the score in [0, 1] that is expected at an Elo difference."""
    return 1 / (1 + 10 ** (-elo / 400))


def _smoothed(pair_scores: Sequence[float]) -> tuple[float, float]:
    """Returns mean and variance of the scores of pairs, one imagined pair included."""
    weights = [_PRIOR_COUNT] * len(PAIR_SCORES)
    for score in pair_scores:
        weights[round(4 * score)] += 1
    total = sum(weights)
    mean = sum(w * s for w, s in zip(weights, PAIR_SCORES, strict=True)) / total
    spread = sum(w * (s - mean) ** 2 for w, s in zip(weights, PAIR_SCORES, strict=True))
    return mean, spread / total
