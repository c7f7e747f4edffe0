"""What a finding is: a measurement, the threshold at which it is a problem, and what to change.

A finding of `selfplay diagnose` is one `Finding` in one module of `selfplay.diagnosis.findings`;
`selfplay.diagnosis.table` collects them all, and everything that judges, prints or documents them
takes them from there. The bad runs that each must find are in `tests/diagnosis/bad_runs.py`; a test
fails for a finding that has none.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

from selfplay.diagnosis.evidence import Evidence

State = Literal["problem", "fine", "unknown"]
"""What a finding says: a problem, none, or that there is too little to tell yet."""


class Judgement(NamedTuple):
    """What a finding says of one run.

    Attributes:
        state: whether it is a problem.
        words: what was measured, with its number and unit; or what is missing to tell.
        number: the measurement; None if there is none.
    """

    state: State
    words: str
    number: float | None = None


def problem_if(condition: bool, number: float, words: str) -> Judgement:
    """Returns a problem where the condition holds, else that all is fine."""
    return Judgement("problem" if condition else "fine", words, number)


def unknown(missing: str, number: float | None = None) -> Judgement:
    """Returns that it cannot be told yet, and what is missing."""
    return Judgement("unknown", f"cannot tell yet: {missing}", number)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that may hold a run back.

    Attributes:
        name: what it is called, in lower case.
        measures: the measurement, with its unit.
        threshold: where it becomes a problem, and why there.
        advice: what to change then.
        decides: whether a problem means that the run does not learn at all.
        judge: measures and compares.
    """

    name: str
    measures: str
    threshold: str
    advice: str
    judge: Callable[[Evidence], Judgement]
    decides: bool = False
