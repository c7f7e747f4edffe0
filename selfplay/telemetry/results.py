"""Results of evaluations: strength against an opponent, mistakes in solved positions."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strength:
    """The latest result against one opponent.

    Attributes:
        opponent: its name.
        score: points per match, in [0, 1]; a draw counts one half.
        low: lower end of the 95 % interval of `score`.
        high: upper end of it.
        update: of the checkpoint that played.
        matches: how many were played.
    """

    opponent: str
    score: float
    low: float
    high: float
    update: int
    matches: int

    @property
    def name(self) -> str:
        """Tells results apart: the opponent."""
        return self.opponent

    @property
    def numbers(self) -> dict[str, float | None]:
        """The result itself under "", its interval under "low" and "high"."""
        return {"": self.score, "low": self.low, "high": self.high}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MistakeRate:
    """The share of solved positions in which a checkpoint's move makes the result worse.

    Attributes:
        plies: of the positions: "all", or the first and the last, such as "0-2".
        share: of positions with a mistake, in [0, 1].
        low: lower end of the 95 % interval of `share`.
        high: upper end of it.
        raw_share: the same for the network's most likely move, without search; None if unknown.
        random_share: the same for random moves.
        positions: how many positions there are.
        update: of the checkpoint that was measured.
    """

    plies: str
    share: float
    low: float
    high: float
    raw_share: float | None
    random_share: float
    positions: int
    update: int

    @property
    def name(self) -> str:
        """Tells results apart: the plies."""
        return self.plies

    @property
    def numbers(self) -> dict[str, float | None]:
        """The share under "", its interval under "low" and "high", `raw_share` under "raw"."""
        return {"": self.share, "low": self.low, "high": self.high, "raw": self.raw_share}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteScore:
    """The share of the positions of a suite that a checkpoint solves.

    Attributes:
        suite: its name.
        share: of the positions, in [0, 1].
        low: lower end of the 95 % interval of `share`.
        high: upper end of it.
        solved: how many positions it solves.
        positions: how many there are.
        update: of the checkpoint that was asked.
    """

    suite: str
    share: float
    low: float
    high: float
    solved: int
    positions: int
    update: int

    @property
    def name(self) -> str:
        """Tells results apart: the suite."""
        return self.suite

    @property
    def numbers(self) -> dict[str, float | None]:
        """The share under "", its interval under "low" and "high"."""
        return {"": self.share, "low": self.low, "high": self.high}


def suite_score(record: Mapping[str, Any]) -> SuiteScore:
    """Returns the result in a stored record of a suite."""
    fields = [field.name for field in dataclasses.fields(SuiteScore)]
    return SuiteScore(**{name: record[name] for name in fields})


Result = Strength | MistakeRate | SuiteScore
"""A share measured for one checkpoint, with its 95 % interval."""


def mistake_rates(record: Mapping[str, Any]) -> tuple[MistakeRate, ...]:
    """Returns the rates in a stored record of mistakes: over all plies first, then by phase."""

    def rate(count: Mapping[str, Any], plies: str) -> MistakeRate:
        return MistakeRate(
            plies=plies,
            share=count["share"],
            low=count["low"],
            high=count["high"],
            raw_share=count["raw_share"],
            random_share=count["random_share"],
            positions=count["positions"],
            update=record["update"],
        )

    return (
        rate(record, "all"),
        *(rate(phase, _span(phase["first_ply"], phase["last_ply"])) for phase in record["phases"]),
    )


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
