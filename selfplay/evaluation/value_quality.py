"""How well predicted values agree with the outcomes of matches.

Positions of one match share its outcome, so every uncertainty here counts matches, not positions:
standard errors are clustered by match (Cameron and Miller, "A practitioner's guide to
cluster-robust inference", 2015, section II).
"""

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int

from selfplay.arena import Interval
from selfplay.arena.statistics import Z_95

BINS = 10
"""Rows of the calibration table, each a tenth of the range of values."""

_FEWEST_MATCHES = 3


class Estimate(NamedTuple):
    """A number with its 95 % interval.

    Attributes:
        value: the number.
        interval: its bounds; infinite where there are too few matches to tell.
    """

    value: float
    interval: Interval

    def to_dict(self) -> dict[str, float | None]:
        """Returns it for a JSON document, which has no infinity."""
        low, high = self.interval
        known = math.isfinite(low) and math.isfinite(high)
        return {
            "value": self.value,
            "low": low if known else None,
            "high": high if known else None,
        }


class CalibrationRow(NamedTuple):
    """Positions whose predicted values lie in one tenth of the range.

    Attributes:
        low: lower end of that tenth.
        high: upper end of it.
        positions: how many lie there.
        mean_value: of the predictions, in [-1, 1].
        mean_outcome: of the matches, in [-1, 1]; equal to `mean_value` if values are right.
        interval: 95 % interval of `mean_outcome`; from -1 to 1 with too few matches to tell.
    """

    low: float
    high: float
    positions: int
    mean_value: float
    mean_outcome: float
    interval: Interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValueQuality:
    """How well values agree with outcomes, both for the player to move.

    Attributes:
        positions: how many were compared.
        matches: that they come from.
        squared_error: mean of (value - outcome) squared, in [0, 4].
        outcome_variance: of the outcomes: the squared error of the best constant.
        correlation: of values and outcomes, in [-1, 1]; 0 where one of them never changes.
        sign_accuracy: share of positions with a winner where the sign of the value names the
            winner, in [0, 1]; None if no match has a winner.
        bias: mean of value - outcome, in [-2, 2]; above 0 the player to move is overrated.
        slope: by how much the outcome grows with the value, 1 if values are right: below 1 they
            are too far from 0, above 1 too close to it; None if all values are the same.
        calibration: mean outcome by predicted value; tenths without positions are left out.
    """

    positions: int
    matches: int
    squared_error: float
    outcome_variance: float
    correlation: float
    sign_accuracy: float | None
    bias: Estimate
    slope: Estimate | None
    calibration: tuple[CalibrationRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns it for a JSON document."""
        return {
            "positions": self.positions,
            "matches": self.matches,
            "squared_error": self.squared_error,
            "outcome_variance": self.outcome_variance,
            "correlation": self.correlation,
            "sign_accuracy": self.sign_accuracy,
            "bias": self.bias.to_dict(),
            "slope": None if self.slope is None else self.slope.to_dict(),
            "calibration": [
                {
                    "low": row.low,
                    "high": row.high,
                    "positions": row.positions,
                    "mean_value": row.mean_value,
                    "mean_outcome": row.mean_outcome,
                    "outcome_low": row.interval.low,
                    "outcome_high": row.interval.high,
                }
                for row in self.calibration
            ],
        }


def value_quality(
    values: Float32[np.ndarray, " B"],
    outcomes: Float32[np.ndarray, " B"],
    match_numbers: Int[np.ndarray, " B"],
) -> ValueQuality | None:
    """Compares `B` predicted values with outcomes; None without positions.

    Args:
        values: predicted results in [-1, 1], for the player to move.
        outcomes: results in [-1, 1], for the player to move.
        match_numbers: which match each position is of; any numbers.
    """
    if not len(values):
        return None
    _, numbers = np.unique(match_numbers, return_inverse=True)
    values, outcomes = values.astype(np.float64), outcomes.astype(np.float64)
    decided = outcomes != 0
    right = np.sign(values[decided]) == np.sign(outcomes[decided])
    return ValueQuality(
        positions=len(values),
        matches=int(numbers.max()) + 1,
        squared_error=float(np.mean((values - outcomes) ** 2)),
        outcome_variance=float(outcomes.var()),
        correlation=_correlation(values, outcomes),
        sign_accuracy=float(right.mean()) if decided.any() else None,
        bias=mean_by_match(values - outcomes, numbers),
        slope=_slope(values, outcomes, numbers),
        calibration=_calibration(values, outcomes, numbers),
    )


def _correlation(values: Any, outcomes: Any) -> float:
    spread = float(values.std() * outcomes.std())
    return float(np.cov(values, outcomes, bias=True)[0, 1]) / spread if spread > 1e-9 else 0.0


def mean_by_match(each: Any, numbers: Any) -> Estimate:
    """Returns the mean over positions, with an interval that counts matches.

    Args:
        each: [B] a number of each position.
        numbers: [B] which match it is of, from 0.
    """
    mean = float(np.mean(each))
    sums = np.bincount(numbers, weights=each - mean)
    return _estimate(mean, sums, float(len(each)), int(np.unique(numbers).size))


def _slope(values: Any, outcomes: Any, numbers: Any) -> Estimate | None:
    """Returns the slope of the line of least squares, outcome over value."""
    centred = values - values.mean()
    spread = float((centred**2).sum())
    if spread < 1e-9 * len(values):
        return None
    slope = float((centred * outcomes).sum()) / spread
    residuals = outcomes - outcomes.mean() - slope * centred
    sums = np.bincount(numbers, weights=centred * residuals)
    return _estimate(slope, sums, spread, int(numbers.max()) + 1)


def _estimate(value: float, sums: Any, divisor: float, matches: int) -> Estimate:
    """Returns an estimate whose error is the sum of independent parts, over `divisor`."""
    if matches < _FEWEST_MATCHES:
        return Estimate(value, Interval(low=-math.inf, high=math.inf))
    error = math.sqrt(float((sums**2).sum()) * matches / (matches - 1)) / divisor
    return Estimate(value, Interval(low=value - Z_95 * error, high=value + Z_95 * error))


def _calibration(values: Any, outcomes: Any, numbers: Any) -> tuple[CalibrationRow, ...]:
    which = np.clip(((values + 1) / 2 * BINS).astype(int), 0, BINS - 1)
    rows = []
    for row in range(BINS):
        inside = which == row
        if not inside.any():
            continue
        mean = mean_by_match(outcomes[inside], numbers[inside])
        rows.append(
            CalibrationRow(
                low=2 * row / BINS - 1,
                high=2 * (row + 1) / BINS - 1,
                positions=int(inside.sum()),
                mean_value=float(values[inside].mean()),
                mean_outcome=mean.value,
                interval=Interval(
                    low=max(-1.0, mean.interval.low), high=min(1.0, mean.interval.high)
                ),
            )
        )
    return tuple(rows)
