"""What a number of match results says about two agents, with its uncertainty."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from selfplay.errors import ConfigError

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: two-sided 95 %."""

_PAIR_SCORES = (0.0, 0.25, 0.5, 0.75, 1.0)
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
    worth, and Wilson's interval is taken with that many: twice the pairs if the two matches of
    a pair behave independently, fewer where the agents decide all pairs 2-0, more where every
    opening is won by the same seat.

    Args:
        pair_scores: mean score of the two matches of each pair, in [0, 1].
        distinct_pairs: how many of the pairs differ in a move; a repeated match is no new
            evidence. By default all of them.
        z: quantile of the normal distribution.
    """
    pairs = len(pair_scores)
    if pairs == 0:
        return Interval(low=0.0, high=1.0)
    weights = [_PRIOR_COUNT] * len(_PAIR_SCORES)
    for score in pair_scores:
        weights[round(4 * score)] += 1
    total = sum(weights)
    smoothed = sum(w * s for w, s in zip(weights, _PAIR_SCORES, strict=True)) / total
    variance = (
        sum(w * (s - smoothed) ** 2 for w, s in zip(weights, _PAIR_SCORES, strict=True)) / total
    )
    independent = pairs if distinct_pairs is None else min(pairs, distinct_pairs)
    trials = independent * smoothed * (1 - smoothed) / variance
    return wilson_interval(math.fsum(pair_scores) / pairs, trials, z=z)


def elo_from_score(score: float) -> float:
    """Returns the Elo difference at which `score`, in [0, 1], is expected; infinite at 0 and 1."""
    if not 0 <= score <= 1:
        raise ConfigError(f"score is {score:g}, but must be between 0 and 1")
    if score in (0, 1):
        return math.inf if score == 1 else -math.inf
    return 400 * math.log10(score / (1 - score))
