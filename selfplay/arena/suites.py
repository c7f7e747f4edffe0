"""What an agent plays in the positions of a suite, and how many it solves."""

import dataclasses
from typing import Any

import jax

from selfplay.arena.agents import Analyst
from selfplay.arena.batches import stack
from selfplay.arena.statistics import Interval, wilson_interval
from selfplay.arena.suite_file import Suite, SuitePosition


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteAnswer:
    """What an agent said to one position.

    Attributes:
        position: the question.
        action: the move that it plays.
        value: what it expects, in [-1, 1], for the player to move; None if it has no opinion.
    """

    position: SuitePosition
    action: int
    value: float | None

    @property
    def solved(self) -> bool:
        """Returns whether the move is one of the best ones and the value near the expected one.

        What the suite does not ask for is not looked at. Without an opinion no value is near.
        """
        one = self.position
        if one.best and self.action not in one.best:
            return False
        if one.value is None:
            return True
        return self.value is not None and abs(self.value - one.value) <= one.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        one = self.position
        return {
            "name": one.name,
            "moves": list(one.match.actions),
            "solved": self.solved,
            "action": self.action,
            "action_name": one.match.name(self.action),
            "best": list(one.best),
            "best_names": [one.match.name(action) for action in one.best],
            "value": self.value,
            "expected_value": one.value,
            "tolerance": one.tolerance,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """What an agent did in a suite.

    Attributes:
        agent: its name.
        suite: name of the suite.
        suite_id: id of its content.
        answers: one to each position, in order.
    """

    agent: str
    suite: str
    suite_id: str
    answers: tuple[SuiteAnswer, ...]

    @property
    def solved(self) -> int:
        """Returns how many positions it solves."""
        return sum(answer.solved for answer in self.answers)

    @property
    def share(self) -> float:
        """Returns the share of the positions that it solves, in [0, 1]."""
        return self.solved / len(self.answers)

    @property
    def interval(self) -> Interval:
        """Returns the 95 % interval of `share`, as of a sample of a far larger set."""
        return wilson_interval(self.share, len(self.answers))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values: of the answers only the names of the positions not solved."""
        return {
            "agent": self.agent,
            "suite": self.suite,
            "suite_id": self.suite_id,
            "positions": len(self.answers),
            "solved": self.solved,
            "share": self.share,
            "low": self.interval.low,
            "high": self.interval.high,
            "failed": [answer.position.name for answer in self.answers if not answer.solved],
        }


def ask_suite(agent: Analyst, suite: Suite, *, seed: int = 0) -> SuiteResult:
    """Asks an agent for its move and its value in every position of a suite.

    Args:
        agent: of the game that the suite is of.
        suite: the positions.
        seed: of the agent's random choices.
    """
    positions = stack([one.match.position for one in suite.positions])
    analyses = agent.analyse(positions, key=jax.random.key(seed))
    return SuiteResult(
        agent=agent.name,
        suite=suite.name,
        suite_id=suite.id,
        answers=tuple(
            SuiteAnswer(position=position, action=one.action, value=one.value)
            for position, one in zip(suite.positions, analyses, strict=True)
        ),
    )
