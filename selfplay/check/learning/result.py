"""What a short training showed: how much was played, the scores afterwards, and the verdict."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.check.learning.evidence import Evidence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Amount:
    """How much was played and learnt from.

    Attributes:
        updates: made in training.
        matches: finished.
        positions: recorded in them.
    """

    updates: int = 0
    matches: int = 0
    positions: int = 0

    @property
    def enough(self) -> bool:
        """Returns whether it is so much that a sound game would have been learnt."""
        return all(
            getattr(self, field.name) >= getattr(ENOUGH, field.name)
            for field in dataclasses.fields(self)
        )


ENOUGH = Amount(updates=300, matches=500, positions=16_000)
"""The least amount after which "not learned" is a verdict: in a sound game nothing had been learnt
after 300 updates and 251 matches."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """What an agent reached.

    Attributes:
        agent: "network" without search, or "agent" with it.
        opponent: its name.
        score: points per match, in [0, 1]; a draw counts one half.
        low: lower end of the 95 % interval.
        high: upper end of it.
        matches: how many were played.
        by_seat: score as player 0 and as player 1.
    """

    agent: str
    opponent: str
    score: float
    low: float
    high: float
    matches: int
    by_seat: tuple[float, float]

    def __str__(self) -> str:
        """Returns the score with its interval."""
        return (
            f"{self.agent} against {self.opponent}: {self.score:.2f} "
            f"({self.low:.2f} to {self.high:.2f}, {self.matches} matches)"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialResult:
    """Whether an agent learnt the game, and if not, why that may be.

    Attributes:
        verdict: "learned" (the network knows something, and plain tree search is no better than
            the agent), "learning" (it knows something, but plain tree search is still better),
            "not learned" (it knows nothing), or "undecided" (likewise, but too little was played
            to tell, see `ENOUGH`).
        scores: of the matches afterwards.
        suspects: what looks wrong; a mistake in the game, more likely than not.
        notes: what else may be the reason.
        updates: made in training.
        matches: finished in training.
        positions: recorded in training.
        evidence: the numbers behind it.
    """

    verdict: str
    scores: tuple[Score, ...]
    suspects: tuple[str, ...]
    notes: tuple[str, ...]
    updates: int
    matches: int
    positions: int
    evidence: Mapping[str, Any]

    @property
    def learned(self) -> bool:
        """Returns whether an agent has learnt the game, and nothing is suspect."""
        return self.verdict in ("learned", "learning") and not self.suspects

    @property
    def failed(self) -> bool:
        """Returns whether something is wrong with the game; too little play is not."""
        return bool(self.suspects) or self.verdict == "not learned"

    def to_dict(self) -> dict[str, Any]:
        """Returns the part "learn" of `selfplay check --learn --json`."""
        document = dataclasses.asdict(self)
        document["learned"] = self.learned
        document["failed"] = self.failed
        document["evidence"] = dict(self.evidence)
        return document

    def facts(self) -> list[tuple[str, str]]:
        """Returns the result for people, as names and texts."""
        pairs = [
            (
                "trained",
                f"{self.updates:,} updates, {self.matches:,} matches, {self.positions:,} positions",
            )
        ]
        pairs += [("" if index else "scores", str(one)) for index, one in enumerate(self.scores)]
        pairs += [("suspect", text) for text in self.suspects]
        pairs += [("note", text) for text in self.notes]
        verdict = "not learned" if self.suspects else self.verdict
        return [*pairs, ("verdict", _VERDICTS[verdict])]


_VERDICTS = {
    "learned": "learned: the network alone beats random play or foretells the results, and with "
    "search the agent is not behind plain tree search",
    "learning": "learning: the network alone beats random play or foretells the results; plain "
    "tree search is still better, as is usual after so short a training of a larger game",
    "undecided": "undecided: the network knows nothing yet, but too little was played to tell: at "
    f"least {ENOUGH.updates:,} updates, {ENOUGH.matches:,} matches and {ENOUGH.positions:,} "
    "positions are needed; try --minutes 5, or a less busy machine",
    "not learned": "not learned: first look at what is suspect above; if nothing is, try "
    "--minutes 5",
}


def verdict_of(scores: Sequence[Score], evidence: Evidence, amount: Amount) -> str:
    network = next(one for one in scores if one.agent == "network")
    searched = [one for one in scores if one.agent == "agent"]
    # Moves and values are learnt at different speeds; either shows that there is something to see.
    if network.low <= 0.5 and not evidence.foretells:
        return "not learned" if amount.enough else "undecided"
    return "learned" if all(one.high >= 0.5 for one in searched) else "learning"
