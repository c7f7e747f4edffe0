"""Findings about the values of the network: are they right on average?"""

import math

from selfplay.diagnosis.evidence import Evidence
from selfplay.diagnosis.finding import Finding, Judgement, problem_if, unknown
from selfplay.evaluation.value_quality import ValueQuality

_FEWEST_MATCHES = 100
_OVERCONFIDENT = 0.5
_TIMID = 2.0
_BIAS = 0.2
_CORRELATION = 0.1


def _enough(evidence: Evidence) -> ValueQuality | None:
    found = evidence.value_quality
    return found if found is not None and found.matches >= _FEWEST_MATCHES else None


def _calibration(evidence: Evidence) -> Judgement:
    found = _enough(evidence)
    if found is None or found.slope is None or not math.isfinite(found.slope.interval.low):
        return unknown(f"fewer than {_FEWEST_MATCHES} matches, or all values are the same")
    if found.correlation < _CORRELATION:
        return unknown("the values hardly foretell the outcomes, whatever their size")
    slope, (low, high) = found.slope
    return problem_if(
        high < _OVERCONFIDENT or low > _TIMID,
        slope,
        f"where a value is 1 higher, the outcome is {slope:.2f} higher (95 % interval {low:.2f} to "
        f"{high:.2f}): the values are "
        + ("too sure" if high < _OVERCONFIDENT else "too timid" if low > _TIMID else "about right"),
    )


def _bias(evidence: Evidence) -> Judgement:
    found = _enough(evidence)
    if found is None:
        return unknown(f"fewer than {_FEWEST_MATCHES} matches")
    bias, (low, high) = found.bias
    return problem_if(
        low > _BIAS or high < -_BIAS,
        bias,
        f"the player to move is rated {bias:+.3f} too high (95 % interval {low:+.3f} to "
        f"{high:+.3f})",
    )


FINDINGS = (
    Finding(
        name="value calibration",
        measures="slope of the outcome over the network's value, as it played",
        threshold=f"surely below {_OVERCONFIDENT} (too sure: the search trusts wrong values) or "
        f"above {_TIMID} (too timid: the search cannot tell moves apart)",
        advice="too sure: fewer samples per position (trainer.replay_ratio), a longer window; too "
        "timid: a higher learner.value_weight or learner.outcome_share",
        judge=_calibration,
    ),
    Finding(
        name="value bias",
        measures="mean of value - outcome, for the player to move",
        threshold=f"surely beyond {_BIAS}: a rating of one side that matches do not bear out",
        advice="see that returns and observations are those of the player to move "
        "(selfplay check GAME); in a sound game the bias fades as play goes on",
        judge=_bias,
    ),
)
