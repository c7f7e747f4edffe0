"""What matches say about a game: arrays in, measures with their uncertainty out."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, Int32

from selfplay.arena.statistics import mean_interval, score_interval, wilson_interval

LEAD = 0.2
"""A player leads whose value is at least this share of a whole win: an expected score of 60 %."""

SETTLED = 0.5
"""A match is decided once its value stays within this share of a whole win of the result."""

_BINS = 10
_MOST_LENGTHS = 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plays:
    """`M` finished matches of `T` plies in all, one match after the other.

    Attributes:
        lengths: plies of each match, at least 1.
        values: at each ply the value after the search, in [-1, 1], for player 0.
        results: of each match for player 0, in [-1, 1].
        starters: who made the first move of each match, 0 or 1.
        truncated: whether `max_plies` alone ended it.
        resigned: whether it was given up.
        distinct: how many of the matches differ in a move or in a chance outcome.
    """

    lengths: Int32[np.ndarray, " M"]
    values: Float32[np.ndarray, " T"]
    results: Float32[np.ndarray, " M"]
    starters: Int8[np.ndarray, " M"]
    truncated: Bool[np.ndarray, " M"]
    resigned: Bool[np.ndarray, " M"]
    distinct: int


class Estimate(NamedTuple):
    """A mean and its 95 % interval, None where too few matches differ to give one."""

    mean: float
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Returns it as the value of a key in a document."""
        return self._asdict()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures:
    """What is known of one sample of matches.

    Attributes:
        matches: how many.
        distinct_matches: how many of them differ; intervals count a repeated match once.
        first_score: score of the player who makes the first move, in [0, 1]; a draw counts half.
        player_0_score: score of player 0, the same wherever player 0 always begins.
        result: mean result of the player who makes the first move, in [-1, 1]; None unless results
            other than -1, 0 and 1 occur.
        draws: share of draws.
        cut: share of matches that `max_plies` alone ended.
        resigned: share of matches that were given up.
        length: plies of a match.
        length_quantiles: shortest, 10 %, median, 90 %, longest.
        lengths: histogram: "from" and "to" of each bar, in plies, and "matches" in it.
        decided: when a match is decided, as a share of its length: see `decided_after`.
        decided_quantiles: 10 %, median, 90 % of that.
        decided_shares: how many matches were decided in each tenth of their length.
        lead_changes: how often the lead passes from one player to the other in a match.
        comebacks: share of the matches with a winner in which the winner was losing before, with a
            value of at most -`SETTLED` of a whole win.
    """

    matches: int
    distinct_matches: int
    first_score: Estimate
    player_0_score: Estimate
    result: Estimate | None
    draws: Estimate
    cut: Estimate
    resigned: Estimate
    length: Estimate
    length_quantiles: tuple[int, ...]
    lengths: tuple[dict[str, int], ...]
    decided: Estimate
    decided_quantiles: tuple[float, ...]
    decided_shares: tuple[int, ...]
    lead_changes: Estimate
    comebacks: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """Returns them for a document, estimates as objects."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: value.to_dict() if isinstance(value, Estimate) else _plain(value)
            for name, value in found.items()
        }


def measure(plays: Plays) -> Measures:
    """Returns the measures of at least one match."""
    distinct, results = plays.distinct, plays.results
    toward_starter = np.where(plays.starters == 0, results, -results)
    whole = whole_win(results)
    decided = decided_after(plays, whole) / plays.lengths
    won = results != 0
    scored = bool(np.any(~np.isin(results, (-1.0, 0.0, 1.0))))
    return Measures(
        matches=len(results),
        distinct_matches=distinct,
        first_score=score(toward_starter, distinct),
        player_0_score=score(results, distinct),
        result=mean(toward_starter, distinct) if scored else None,
        draws=share(results == 0, distinct),
        cut=share(plays.truncated, distinct),
        resigned=share(plays.resigned, distinct),
        length=mean(plays.lengths, distinct),
        length_quantiles=tuple(int(q) for q in _quantiles(plays.lengths, (0, 0.1, 0.5, 0.9, 1))),
        lengths=_histogram(plays.lengths),
        decided=mean(decided, distinct),
        decided_quantiles=tuple(float(q) for q in _quantiles(decided, (0.1, 0.5, 0.9))),
        decided_shares=tuple(
            np.bincount(np.minimum((decided * _BINS).astype(int), _BINS - 1), minlength=_BINS)
            .astype(int)
            .tolist()
        ),
        lead_changes=mean(lead_changes(plays, whole), distinct),
        comebacks=share(_was_losing(plays, whole)[won], min(distinct, int(won.sum())))
        if won.any()
        else None,
    )


def whole_win(results: Float32[np.ndarray, " M"]) -> float:
    """Returns how much a clear win is: 1, or in a game whose results are scores what they reach.

    That is the value below which nine of ten results lie, draws left out, without their sign.
    """
    sizes = np.abs(results[results != 0])
    return float(np.quantile(sizes, 0.9)) if sizes.size else 1.0


def decided_after(plays: Plays, whole: float) -> Int32[np.ndarray, " M"]:
    """Returns after how many plies each match was decided, from 0 to its length.

    From that ply on the value stays within `SETTLED` of the result: a won match is decided when the
    winner's value has risen above one half for good, a drawn one when neither side's value leaves
    the middle any more. A match whose last value is still wrong is decided by its last move.

    Args:
        plays: the matches.
        whole: what a clear win is, by which values are measured.
    """
    ends = plays.lengths.cumsum()
    results = np.repeat(plays.results, plays.lengths)
    wrong = np.abs(plays.values - results) > SETTLED * whole
    place = np.arange(len(wrong)) - np.repeat(ends - plays.lengths, plays.lengths)
    last_wrong = np.maximum.reduceat(np.where(wrong, place, -1), ends - plays.lengths)
    found: Int32[np.ndarray, " M"] = (last_wrong + 1).astype(np.int32)
    return found


def lead_changes(plays: Plays, whole: float) -> Int32[np.ndarray, " M"]:
    """Returns how often the lead changes hands in each match.

    A player leads whose value is at least `LEAD`; between two leads of the same player nothing has
    changed, however even it was in between.

    Args:
        plays: the matches.
        whole: what a clear win is.
    """
    leader = np.where(np.abs(plays.values) >= LEAD * whole, np.sign(plays.values), 0)
    match = np.repeat(np.arange(len(plays.lengths)), plays.lengths)
    leads = np.flatnonzero(leader)
    changed = (np.diff(leader[leads]) != 0) & (np.diff(match[leads]) == 0)
    counts = np.bincount(match[leads[1:]][changed], minlength=len(plays.lengths))
    found: Int32[np.ndarray, " M"] = counts.astype(np.int32)
    return found


def score(results: Float32[np.ndarray, " M"], distinct: int) -> Estimate:
    """Returns the score in [0, 1] of the player whose results these are."""
    scores = ((1 + np.sign(results)) / 2).tolist()
    interval = score_interval(scores, distinct_pairs=distinct)
    return Estimate(sum(scores) / len(scores), interval.low, interval.high)


def share(flags: Bool[np.ndarray, " M"], distinct: int) -> Estimate:
    """Returns the share of matches of which something is true."""
    found = float(flags.mean())
    interval = wilson_interval(found, max(1, distinct))
    return Estimate(found, interval.low, interval.high)


def mean(values: Any, distinct: int) -> Estimate:
    """Returns the mean of one number a match."""
    numbers: Float64[np.ndarray, " M"] = np.asarray(values, np.float64)
    interval = mean_interval(numbers.tolist(), distinct=distinct)
    if interval is None:
        return Estimate(float(numbers.mean()), None, None)
    return Estimate(float(numbers.mean()), interval.low, interval.high)


def _was_losing(plays: Plays, whole: float) -> Bool[np.ndarray, " M"]:
    """Returns in which matches the later winner was losing at some ply."""
    toward_winner = plays.values * np.repeat(np.sign(plays.results), plays.lengths)
    begins = plays.lengths.cumsum() - plays.lengths
    found: Bool[np.ndarray, " M"] = np.minimum.reduceat(toward_winner, begins) <= -SETTLED * whole
    return found


def _quantiles(values: Any, shares: Sequence[float]) -> Any:
    # Of lengths: numbers that occur, not means of two.
    return np.quantile(values, shares, method="inverted_cdf")


def _histogram(lengths: Int32[np.ndarray, " M"]) -> tuple[dict[str, int], ...]:
    """Returns how many matches have which length, in at most forty bars of equal width."""
    low, high = int(lengths.min()), int(lengths.max())
    width = max(1, -(-(high - low + 1) // _MOST_LENGTHS))
    counts = np.bincount((lengths - low) // width)
    return tuple(
        {"from": low + width * bar, "to": low + width * (bar + 1) - 1, "matches": int(count)}
        for bar, count in enumerate(counts)
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
