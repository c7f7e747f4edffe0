"""The tables of a balance report as text, for the terminal and for the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.reports.balance.comparison import SHARES
from selfplay.reports.balance.measures import LEAD, SETTLED
from selfplay.reports.balance.sample import SELFPLAY
from selfplay.reports.balance.verdicts import percent

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""A header and rows."""

DEFINITIONS = (
    (
        "first player",
        "who makes the first move. In an asymmetric game its score is that of the role.",
    ),
    ("score", "points a match: a win counts 1, a draw one half."),
    (
        "decided",
        "the ply from which on the value after the search stays within "
        f"{SETTLED:g} of the result, on the scale from -1 lost to +1 won, as a share of the "
        "match's length. It is the agent's opinion: a stronger agent sees the end earlier.",
    ),
    (
        "lead changes",
        f"how often the lead passes to the other player; a player leads at a value of {LEAD:g} or "
        "more, which is an expected score of 60 %.",
    ),
    (
        "won after being lost",
        f"share of the won matches in which the winner's value was once -{SETTLED:g} or less.",
    ),
    (
        "different matches",
        "matches that differ in a move or a roll. Intervals count a repeated match once.",
    ),
    (
        "hardly chosen",
        "played less than a twentieth as often as by random play among the legal actions.",
    ),
)


def game_title(report: Mapping[str, Any]) -> str:
    """Returns the game with its options, such as "hex (size=5, swap=False)"."""
    options = ", ".join(f"{name}={value}" for name, value in report["options"].items())
    return f"{report['game']} ({options})" if options else str(report["game"])


def sample_title(sample: Mapping[str, Any], *, short: bool = False) -> str:
    """Returns what matches of a sample are, such as "self-play up to checkpoint 1,200"."""
    first, last = sample["first_checkpoint"], sample["last_checkpoint"]
    if sample["source"] == SELFPLAY:
        name = f"self-play {first:,}" if first == last else f"self-play {first:,}-{last:,}"
        return name if short else f"{sample['matches']:,} matches of {name}"
    name = f"{last:,} at {sample['simulations']:,} simulations"
    return name if short else f"{sample['matches']:,} matches of checkpoint {name}"


def counted_text(sample: Mapping[str, Any]) -> str:
    """Returns which matches count and how they were played."""
    searched = (
        f", {sample['simulations']:,} simulations a move" if sample["source"] == SELFPLAY else ""
    )
    return f"{sample_title(sample)}{searched}; {sample['how']}"


def samples_table(report: Mapping[str, Any]) -> Table:
    """Returns a row for each sample: stages of self-play, then what was played for the report."""
    header = (
        *("checkpoint", "sims", "matches", "different", "first scores", "draws"),
        *("plies 10-50-90 %", "cut", "branching", "decided", "lead changes"),
    )
    return header, [_sample_row(sample) for sample in report["samples"]]


def openings_table(lines: Mapping[str, Any]) -> Table:
    """Returns the most played openings of one length."""
    rows = [
        [
            " ".join(line["moves"]),
            f"{100 * line['share']:.1f} %",
            f"{line['matches']:,}",
            percent(line["first_score"]),
        ]
        for line in lines["most_played"]
    ]
    return ("opening", "share", "matches", "first scores"), rows


def skill_table(report: Mapping[str, Any]) -> Table:
    """Returns how much the stronger side wins."""
    rows = [
        [
            f"{one['stronger']} against {one['weaker']}",
            percent(one["score"]),
            "-" if one["matches"] is None else f"{one['matches']:,}",
            *(
                "-" if one[seat] is None else f"{100 * one[seat]:.1f} %"
                for seat in ("as_player_0", "as_player_1")
            ),
        ]
        for one in report["skill"]
    ]
    return ("who", "score", "matches", "as player 0", "as player 1"), rows


def least_chosen_table(report: Mapping[str, Any]) -> Table:
    """Returns the actions that are never or hardly chosen."""
    rows = [
        [
            one["name"],
            str(one["action"]),
            f"{one['chosen']:,}",
            f"{one['by_random_play']:,.0f}",
            f"{one['legal']:,}",
        ]
        for one in report["actions"]["least_chosen"]
    ]
    return ("action", "number", "chosen", "by random play", "positions where legal"), rows


def comparison_table(comparison: Mapping[str, Any]) -> Table:
    """Returns the measures of two reports and their differences."""
    rows = [
        [
            one["title"],
            _estimate(one["first"], one["measure"]),
            _estimate(one["second"], one["measure"]),
            _difference(one),
            {True: "yes", False: "no", None: "not known"}[one["exceeds"]],
        ]
        for one in comparison["differences"]
    ]
    return ("measure", "A", "B", "B less A", "more than chance"), rows


def _sample_row(sample: Mapping[str, Any]) -> list[str]:
    first, last = sample["first_checkpoint"], sample["last_checkpoint"]
    _, short, median, long, _ = sample["length_quantiles"]
    own = sample["source"] != SELFPLAY
    return [
        f"{last:,}, own matches"
        if own
        else f"{first:,}-{last:,}"
        if first != last
        else f"{last:,}",
        f"{sample['simulations']:,}",
        f"{sample['matches']:,}",
        f"{sample['distinct_matches']:,}",
        percent(sample["first_score"]),
        f"{100 * sample['draws']['mean']:.1f} %",
        f"{short}-{median}-{long}",
        f"{100 * sample['cut']['mean']:.1f} %",
        f"{sample['branching']['mean']:.1f}",
        f"{100 * sample['decided_quantiles'][1]:.0f} %",
        f"{sample['lead_changes']['mean']:.2f}",
    ]


def _estimate(estimate: Mapping[str, Any], measure: str) -> str:
    if measure in SHARES:
        return percent(estimate)
    text = f"{estimate['mean']:.2f}"
    if estimate["low"] is None:
        return text
    return f"{text} ({estimate['low']:.2f}-{estimate['high']:.2f})"


def _difference(one: Mapping[str, Any]) -> str:
    scale, unit = (100, " %") if one["measure"] in SHARES else (1, "")
    text = f"{scale * one['difference']:+.2f}{unit}"
    if one["low"] is None:
        return text
    return f"{text} ({scale * one['low']:+.2f} to {scale * one['high']:+.2f}{unit})"
