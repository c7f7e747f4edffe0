"""The balance of a game as a person reads it in a terminal."""

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.cli.output import facts, table
from selfplay.reports.balance.verdicts import percent
from selfplay.reports.balance.words import (
    Table,
    comparison_table,
    counted_text,
    game_title,
    least_chosen_table,
    openings_table,
    samples_table,
    skill_table,
)

_LINES = 5


def report_text(report: Mapping[str, Any]) -> str:
    """Returns one report."""
    sample = report["samples"][report["counted"]]
    return "\n\n".join(
        [
            facts(_facts(report, sample)),
            *_bullets(report["verdicts"]),
            table(*samples_table(report)),
            *_tables(report),
            *_notes([*report["notes"], *report["problems"]]),
        ]
    )


def comparison_text(comparison: Mapping[str, Any]) -> str:
    """Returns two reports beside each other."""
    first, second = comparison["reports"]
    a, b = comparison["counted"]
    head = [
        (letter, f"{game_title(report)}, {report['run']}")
        for letter, report in (("A", first), ("B", second))
    ]
    head += [
        (f"counts {letter}", counted_text(one))
        for letter, one in (("A", first["samples"][a]), ("B", second["samples"][b]))
    ]
    problems = [text for report in (first, second) for text in report["problems"]]
    return "\n\n".join(
        [
            facts([*head, ("interval", "of 95 %, in brackets")]),
            table(*comparison_table(comparison)),
            *_notes([*comparison["notes"], *problems]),
        ]
    )


def _facts(report: Mapping[str, Any], sample: Mapping[str, Any]) -> list[tuple[str, str]]:
    short, low, median, high, long = sample["length_quantiles"]
    early, middle, late = (f"{100 * one:.0f} %" for one in sample["decided_quantiles"])
    widths = sample["branching"]
    pairs = [
        ("game", game_title(report)),
        ("run", report["run"]),
        (
            "counted",
            counted_text(sample),
        ),
        ("first", f"{percent(sample['first_score'])} for who makes the first move"),
        ("draws", percent(sample["draws"])),
        (
            "length",
            f"median {median} plies; eight of ten {low} to {high}; "
            f"shortest {short}, longest {long}",
        ),
        ("cut", f"{percent(sample['cut'])} by the limit of {report['max_plies']:,} plies"),
        (
            "branching",
            f"{widths['mean']:.1f} legal actions a ply, at most {sample['widest']:,}; "
            f"{100 * sample['forced_share']:.1f} % of the moves are forced",
        ),
        ("decided", f"median after {middle} of the moves; eight of ten {early} to {late}"),
        ("lead", f"changes {sample['lead_changes']['mean']:.2f} times a match"),
    ]
    if sample["comebacks"] is not None:
        text = f"{percent(sample['comebacks'])} of the won matches, after having been lost"
        pairs.append(("comebacks", text))
    if (result := sample["result"]) is not None:
        bounds = (
            "" if result["low"] is None else f" ({result['low']:+.3f} to {result['high']:+.3f})"
        )
        text = f"{result['mean']:+.3f}{bounds} for who makes the first move, in [-1, 1]"
        pairs.insert(4, ("result", text))
    if sample["resigned"]["mean"]:
        pairs.append(("resigned", percent(sample["resigned"])))
    return [*pairs, ("interval", "of 95 %, in brackets")]


def _tables(report: Mapping[str, Any]) -> list[str]:
    openings, actions = report["openings"], report["actions"]
    lines = openings["lines"]
    found = []
    for one in (openings["first_moves"], lines):
        header, rows = openings_table(one)
        if rows:
            found.append(table(header, rows[:_LINES]))
    found.append(
        facts(
            [
                (
                    "diversity",
                    f"{lines['different']:,} openings of {lines['plies']} plies, as diverse as "
                    f"{lines['effective']:.1f} equally common ones"
                    + ("; mirror images count as one" if openings["mirrored"] else ""),
                ),
                (
                    "actions",
                    f"of {actions['all']:,} {actions['never_legal']:,} were never legal, "
                    f"{actions['never_chosen']:,} never chosen, {actions['hardly_chosen']:,} "
                    f"hardly, in {actions['positions']:,} positions",
                ),
            ]
        )
    )
    found += [
        _shortened(one) for one in (least_chosen_table(report), skill_table(report)) if one[1]
    ]
    return found


def _shortened(whole: Table) -> str:
    header, rows = whole
    return table(header, rows[: 2 * _LINES])


def _bullets(texts: Sequence[str]) -> list[str]:
    width = shutil.get_terminal_size().columns
    lines = [
        textwrap.fill(text, width, initial_indent="* ", subsequent_indent="  ") for text in texts
    ]
    return ["\n".join(lines)] if lines else []


def _notes(texts: Sequence[str]) -> list[str]:
    width = shutil.get_terminal_size().columns
    lines = [
        textwrap.fill(text, width, initial_indent="note: ", subsequent_indent="      ")
        for text in texts
    ]
    return ["\n".join(lines)] if lines else []
