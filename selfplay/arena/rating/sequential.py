"""A sequential test of two agents: matches are played until the result is certain enough."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real

from selfplay.arena.statistics import PAIR_SCORES, score_from_elo
from selfplay.errors import ConfigError

# What a result that has not come up yet counts for, so that no logarithm is infinite.
_UNSEEN = 1e-3
_EDGE = 1e-12


class SequentialTest(NamedTuple):
    """What a sequential test of two hypotheses says so far.

    Attributes:
        log_likelihood_ratio: natural logarithm of how much likelier the pairs are if the
            difference is `elo1` than if it is `elo0`.
        lower: the test ends with `elo0` once the ratio is at most this.
        upper: it ends with `elo1` once the ratio is at least this.
        verdict: "elo0" or "elo1", the hypothesis accepted, or "open".
        pairs: how many pairs of matches it has seen.
    """

    log_likelihood_ratio: float
    lower: float
    upper: float
    verdict: str
    pairs: int


def sequential_test(
    pair_scores: Sequence[float],
    *,
    elo0: float,
    elo1: float,
    alpha: float = 0.05,
    beta: float = 0.05,
) -> SequentialTest:
    """Returns the state of a test whether the difference in Elo is `elo0` or `elo1`.

    Matches may be played until the verdict is no longer "open", however often one looks: Wald's
    sequential probability ratio test ("Sequential analysis", 1947), with the ratio of
    `log_likelihood_ratios`.

    Args:
        pair_scores: mean score of the two matches of each pair, in [0, 1]; a pair that repeats
            another move for move is no new evidence and must be left out.
        elo0: difference in Elo of the first hypothesis, seen by the agent whose scores these are.
        elo1: that of the second one, above `elo0`.
        alpha: probability of accepting `elo1` where `elo0` is true, in (0, 1).
        beta: probability of accepting `elo0` where `elo1` is true, in (0, 1).

    Raises:
        ConfigError: the hypotheses are in the wrong order, or the probabilities are out of range
            or contradict each other.

    >>> sequential_test([0.5, 1.0, 0.75] * 40, elo0=0, elo1=30).verdict
    'elo1'
    """
    lower, upper = sequential_bounds(elo0=elo0, elo1=elo1, alpha=alpha, beta=beta)
    ratio = 0.0
    if pair_scores:
        counts = pair_counts(pair_scores)
        ratio = float(log_likelihood_ratios(counts, elo0=elo0, elo1=elo1))
    verdict = "elo1" if ratio >= upper else "elo0" if ratio <= lower else "open"
    return SequentialTest(
        log_likelihood_ratio=ratio,
        lower=lower,
        upper=upper,
        verdict=verdict,
        pairs=len(pair_scores),
    )


def sequential_bounds(
    *, elo0: float, elo1: float, alpha: float, beta: float
) -> tuple[float, float]:
    """Returns the log-likelihood ratios at which a test ends with `elo0` and with `elo1`.

    Raises:
        ConfigError: as for `sequential_test`.
    """
    if not elo0 < elo1:
        raise ConfigError(
            f"elo0 is {elo0:g}, but must be below elo1, which is {elo1:g}",
            hint="elo0 is the difference that is not enough, elo1 the one that is",
        )
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not 0 < value < 1:
            raise ConfigError(
                f"{name} is {value:g}, but must be above 0 and below 1",
                hint="0.05 accepts the wrong hypothesis once in 20 tests",
            )
    if alpha + beta >= 1:
        raise ConfigError(
            f"alpha is {alpha:g} and beta is {beta:g}, but their sum must be below 1",
            hint="a test that errs so often says nothing; 0.05 is usual for both",
        )
    return math.log(beta / (1 - alpha)), math.log((1 - beta) / alpha)


def pair_counts(pair_scores: Sequence[float]) -> Float[np.ndarray, "5"]:
    """Returns how many pairs have each of the scores 0, 1/4, 1/2, 3/4 and 1."""
    indices = np.rint(4 * np.asarray(pair_scores, float)).astype(int)
    return np.bincount(indices, minlength=len(PAIR_SCORES)).astype(float)


def log_likelihood_ratios(
    counts: Real[np.ndarray, "*S 5"], *, elo0: float, elo1: float
) -> Float[np.ndarray, "*S"]:
    """Returns the log-likelihood ratio of `elo1` over `elo0` for any number of tests at once.

    It is the generalised ratio of the pentanomial model: the five results of a pair of matches
    have any probabilities, and each hypothesis takes the likeliest ones whose mean score is the
    one it expects (Van den Bergh, "A practical introduction to the GSPRT", 2020, as in the
    testing of chess engines). Those are p / (1 + x (score - mean)) with the observed shares p
    and the x that makes the mean right (Owen, "Empirical likelihood", 2001, section 2.9).

    Args:
        counts: of pairs by their score, 0, 1/4, 1/2, 3/4 and 1.
        elo0: difference in Elo of the first hypothesis.
        elo1: that of the second one.
    """
    seen = np.where(counts == 0, _UNSEEN, counts).astype(float)
    pairs = seen.sum(axis=-1, keepdims=True)
    shares = seen / pairs
    logs = [_log_shares_lost(shares, score_from_elo(elo)) for elo in (elo0, elo1)]
    return np.asarray((seen * (logs[0] - logs[1])).sum(axis=-1))


def _log_shares_lost(shares: Float[np.ndarray, "*S 5"], mean: float) -> Float[np.ndarray, "*S 5"]:
    """Returns log(share / likeliest share under the hypothesis that the mean score is `mean`)."""
    from scipy.optimize import elementwise

    away = np.array(PAIR_SCORES) - mean

    bracket = (-(1 - _EDGE) / away[-1], -(1 - _EDGE) / away[0])
    found = elementwise.find_root(
        # How far the mean is off; without annotations, which would be checked in each step.
        lambda x, *parts: sum(q * a / (1 + x * a) for q, a in zip(parts, away, strict=True)),
        bracket,
        args=tuple(np.moveaxis(shares, -1, 0)),
    )
    logs: Float[np.ndarray, "*S 5"] = np.log1p(found.x[..., None] * away)
    return logs
