"""What came of matches between two agents: who won how many, and how sure that is."""

import dataclasses
import math
from typing import Any

from selfplay.arena.statistics import (
    Interval,
    elo_from_score,
    result_interval,
    score_interval,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
    """One finished match.

    Attributes:
        opening: index of its opening in the set.
        seat: which player the first agent was, 0 or 1.
        start_key: key data of the start.
        actions: every move, those of the opening first.
        outcomes: the chance outcome that followed each move, -1 for none; empty in a game
            without chance.
        score: of the first agent: 1 won, 1/2 drawn, 0 lost.
        result: of the first agent, in [-1, 1], as the game returns it.
        truncated: whether the match was ended by `max_plies` alone.
        resigned: whether it was ended by an agent that gave it up.
    """

    opening: int
    seat: int
    start_key: tuple[int, int]
    actions: tuple[int, ...]
    outcomes: tuple[int, ...]
    score: float
    result: float
    truncated: bool
    resigned: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchTable:
    """The matches of two agents, seen by the first one.

    Attributes:
        game: name of the game.
        agents: names of the two.
        seed: of everything random.
        opening_set: id of the openings.
        matches: two in a row have the same opening, seats swapped.
        distinct_matches: how many differ in the first position, in a move or in what chance did.
        distinct_pairs: how many pairs do; only those count for the interval.
    """

    game: str
    agents: tuple[str, str]
    seed: int
    opening_set: str
    matches: tuple[Match, ...]
    distinct_matches: int
    distinct_pairs: int

    @property
    def wins(self) -> int:
        """Returns how many matches the first agent won."""
        return sum(match.score == 1 for match in self.matches)

    @property
    def draws(self) -> int:
        """Returns how many matches nobody won."""
        return sum(match.score == 0.5 for match in self.matches)

    @property
    def losses(self) -> int:
        """Returns how many matches the first agent lost."""
        return sum(match.score == 0 for match in self.matches)

    @property
    def score(self) -> float:
        """Returns the first agent's mean score, in [0, 1]; a draw is one half."""
        return (self.wins + self.draws / 2) / len(self.matches)

    @property
    def pair_scores(self) -> list[float]:
        """Returns the first agent's mean score in each pair of matches, in [0, 1]."""
        scores = [match.score for match in self.matches]
        return [(one + two) / 2 for one, two in zip(scores[::2], scores[1::2], strict=True)]

    @property
    def interval(self) -> Interval:
        """Returns the 95 % interval of the score, by pairs of matches."""
        return score_interval(self.pair_scores, distinct_pairs=self.distinct_pairs)

    @property
    def is_scored(self) -> bool:
        """Returns whether a result was anything but won, drawn or lost: -1, 0 or 1."""
        return any(match.result not in (-1, 0, 1) for match in self.matches)

    @property
    def mean_result(self) -> float:
        """Returns the first agent's mean result, in [-1, 1], as the game returns it."""
        return math.fsum(match.result for match in self.matches) / len(self.matches)

    @property
    def result_interval(self) -> Interval:
        """Returns the 95 % interval of the mean result, by pairs of matches."""
        results = [match.result for match in self.matches]
        return result_interval(
            [(one + two) / 2 for one, two in zip(results[::2], results[1::2], strict=True)],
            largest=max(map(abs, results)) or 1.0,
            distinct_pairs=self.distinct_pairs,
        )

    @property
    def truncated(self) -> int:
        """Returns how many matches were ended by `max_plies`."""
        return sum(match.truncated for match in self.matches)

    @property
    def resigned(self) -> int:
        """Returns how many matches were given up."""
        return sum(match.resigned for match in self.matches)

    @property
    def mean_plies(self) -> float:
        """Returns the mean length of a match, opening included."""
        return sum(len(match.actions) for match in self.matches) / len(self.matches)

    def seat_score(self, seat: int) -> float:
        """Returns the first agent's mean score as player `seat`."""
        scores = [match.score for match in self.matches if match.seat == seat]
        return sum(scores) / len(scores)

    def to_dict(self) -> dict[str, Any]:
        """Returns the document that `selfplay arena --json` prints."""
        return {
            "game": self.game,
            "agents": list(self.agents),
            "matches": len(self.matches),
            "distinct_matches": self.distinct_matches,
            "wins": self.wins,
            "draws": self.draws,
            "losses": self.losses,
            "score": self.score,
            "interval": list(self.interval),
            "scored": self.is_scored,
            "mean_result": self.mean_result,
            "result_interval": list(self.result_interval),
            # JSON has no infinity.
            "elo": _finite(elo_from_score(self.score)),
            "elo_interval": [_finite(elo_from_score(bound)) for bound in self.interval],
            "score_by_seat": [self.seat_score(0), self.seat_score(1)],
            "truncated": self.truncated,
            "resigned": self.resigned,
            "mean_plies": self.mean_plies,
            "opening_set": self.opening_set,
            "seed": self.seed,
        }


def _finite(elo: float) -> float | None:
    return elo if math.isfinite(elo) else None
