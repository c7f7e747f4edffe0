"""What the measures of a game mean for its designer, in words, each with its number."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.arena.statistics import Interval, difference_interval
from selfplay.reports.balance.sample import ENOUGH, SELFPLAY

_MANY_DRAWS = 0.5
_MANY_CUT = 0.05
_EARLY = 0.5
_DOMINANT = 0.5


def verdicts(document: Mapping[str, Any]) -> list[str]:
    """Returns sentences about the sample that counts, the most important one first.

    Args:
        document: a balance report without its verdicts.
    """
    sample = document["samples"][document["counted"]]
    found = [_who_wins(sample)]
    if sample["distinct_matches"] < ENOUGH:
        found.append(
            f"Only {sample['distinct_matches']} different matches count: play more of them before "
            "you change a rule."
        )
    found += [*_results(sample), *_course(sample), *_openings(document["openings"])]
    trend = _trend(document["samples"])
    return [*found, *([trend] if trend else [])]


def change(first: Mapping[str, Any], second: Mapping[str, Any]) -> Interval | None:
    """Returns the 95 % interval of the first estimate less the second, None if one is unknown."""
    if None in (first["low"], second["low"]):
        return None
    return difference_interval(
        first["mean"],
        Interval(first["low"], first["high"]),
        second["mean"],
        Interval(second["low"], second["high"]),
    )


def percent(estimate: Mapping[str, float | None]) -> str:
    """Returns a share such as "57.3 % (52.1-62.4 %)"; the interval is of 95 %."""
    mean, low, high = (estimate[key] for key in ("mean", "low", "high"))
    text = f"{100 * (mean or 0):.1f} %"
    return text if low is None or high is None else f"{text} ({100 * low:.1f}-{100 * high:.1f} %)"


def _who_wins(sample: Mapping[str, Any]) -> str:
    score = sample["first_score"]
    text = f"The player who makes the first move scores {percent(score)}"
    if score["low"] > 0.5:
        return f"{text}: an advantage for the first player."
    if score["high"] < 0.5:
        return f"{text}: an advantage for the second player."
    return f"{text}: no advantage is shown by so many matches."


def _results(sample: Mapping[str, Any]) -> list[str]:
    found = []
    if sample["draws"]["mean"] >= _MANY_DRAWS:
        found.append(f"Most matches are drawn: {percent(sample['draws'])}.")
    if sample["cut"]["mean"] >= _MANY_CUT:
        found.append(
            f"{percent(sample['cut'])} of the matches are ended by the limit of plies and not by "
            "the rules: scores and lengths are partly those of the limit."
        )
    return found


def _course(sample: Mapping[str, Any]) -> list[str]:
    median = sample["decided_quantiles"][1]
    if median < _EARLY:
        return [
            f"Half of the matches are decided after {100 * median:.0f} % of their moves or "
            "earlier: the rest is playing out."
        ]
    return []


def _openings(openings: Mapping[str, Any]) -> list[str]:
    lines = openings["lines"]
    if not lines["most_played"] or lines["most_played"][0]["share"] < _DOMINANT:
        return []
    most = lines["most_played"][0]
    return [
        f"One opening is played in {100 * most['share']:.0f} % of the matches: "
        f"{' '.join(most['moves'])}."
    ]


def _trend(samples: Sequence[Mapping[str, Any]]) -> str:
    """Returns how the first player's score has moved in self-play, if it has."""
    trained = [sample for sample in samples if sample["source"] == SELFPLAY]
    if len(trained) < 2:
        return ""
    first, last = trained[0]["first_score"], trained[-1]["first_score"]
    moved = change(last, first)
    if moved is None or moved.low <= 0 <= moved.high:
        return ""
    direction = "risen" if last["mean"] > first["mean"] else "fallen"
    return (
        f"As the agent grew stronger the first player's score has {direction} from "
        f"{percent(first)} to {percent(last)}: a stronger agent may move it further."
    )
