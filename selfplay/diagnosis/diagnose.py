"""Judges a run: whether it learns, what holds it back, and what to change."""

import dataclasses
from typing import Any

from selfplay.diagnosis.evidence import Evidence
from selfplay.diagnosis.finding import Finding, Judgement
from selfplay.diagnosis.findings.learning import loss_trend
from selfplay.diagnosis.table import FINDINGS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What all findings say of one run.

    Attributes:
        judgements: by the name of the finding.
        trend: the slope of the loss, see `loss_trend`; None if it is not known.
        unreadable: what could not be read, in words.
    """

    judgements: dict[str, Judgement]
    trend: dict[str, float] | None
    unreadable: tuple[str, ...] = ()

    def named(self, state: str) -> list[tuple[Finding, Judgement]]:
        """Returns the findings in a state: "problem", "fine" or "unknown"."""
        return [
            (FINDINGS[name], judgement)
            for name, judgement in self.judgements.items()
            if judgement.state == state
        ]

    @property
    def learns(self) -> bool | None:
        """Whether the run learns; None if that cannot be told yet."""
        decisive = [self.judgements[name].state for name, one in FINDINGS.items() if one.decides]
        if "problem" in decisive:
            return False
        return True if "fine" in decisive else None

    @property
    def headline(self) -> str:
        """Returns whether the run learns and what holds it back, in one line."""
        said = {True: "it learns", False: "it does not learn", None: "too early to tell"}
        names = [finding.name for finding, _ in self.named("problem")]
        return said[self.learns] + (f"; look at: {', '.join(names)}" if names else "")

    def to_dict(self) -> dict[str, Any]:
        """Returns the document that `selfplay diagnose --json` prints, without the run."""
        return {
            "learns": self.learns,
            "headline": self.headline,
            "loss_trend": self.trend,
            "findings": [
                {
                    "name": name,
                    "state": judgement.state,
                    "number": judgement.number,
                    "words": judgement.words,
                    "measures": FINDINGS[name].measures,
                    "threshold": FINDINGS[name].threshold,
                    "advice": FINDINGS[name].advice,
                }
                for name, judgement in self.judgements.items()
            ],
            "unreadable": list(self.unreadable),
        }


def diagnose(evidence: Evidence) -> Diagnosis:
    """Returns what all findings say of a run."""
    return Diagnosis(
        judgements={name: finding.judge(evidence) for name, finding in FINDINGS.items()},
        trend=loss_trend(evidence),
        unreadable=evidence.problems,
    )
