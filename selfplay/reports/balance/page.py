"""The balance report as one HTML page: text, tables and pictures, and nothing from elsewhere."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from selfplay.reports.balance.comparison import SHARES
from selfplay.reports.balance.drawing import (
    Point,
    bar_chart,
    interval_chart,
    line_chart,
    percent,
    plain,
)
from selfplay.reports.balance.sample import SELFPLAY
from selfplay.reports.balance.words import (
    DEFINITIONS,
    comparison_table,
    counted_text,
    game_title,
    least_chosen_table,
    openings_table,
    sample_title,
    samples_table,
    skill_table,
)

_STYLE = """
:root { color-scheme: light dark; --text: #1c2430; --quiet: #5a6472; --back: #ffffff;
  --card: #f4f6f8; --rule: #d5dae0; --c0: #0060a8; --c1: #b04a00; --c2: #00705a; --c3: #8a3f94; }
@media (prefers-color-scheme: dark) { :root { --text: #e6eaf0; --quiet: #a4aebb; --back: #14181e;
  --card: #1e242c; --rule: #39424d; --c0: #6cb4f5; --c1: #f0a060; --c2: #58c8a8; --c3: #d79be0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 78rem; background: var(--back);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
.quiet, figcaption, .tick { color: var(--quiet); }
.verdicts { background: var(--card); padding: 1rem 1rem 1rem 2.2rem; border-radius: .5rem; }
.verdicts li:first-child { font-weight: 600; }
.pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); }
figure { margin: 0; padding: .75rem; background: var(--card); border-radius: .5rem; }
figcaption { font-size: .9rem; margin-bottom: .25rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 12px system-ui, sans-serif; fill: var(--quiet); }
svg .name { fill: var(--text); }
.grid { stroke: var(--rule); } .middle { stroke: var(--quiet); stroke-dasharray: 4 4; }
.line { fill: none; stroke-width: 2; } .bar { stroke-width: 2; opacity: .6; }
.line.c0, .bar.c0 { stroke: var(--c0); } .dot.c0, .fill.c0 { fill: var(--c0); }
.line.c1, .bar.c1 { stroke: var(--c1); } .dot.c1, .fill.c1 { fill: var(--c1); }
.line.c2, .bar.c2 { stroke: var(--c2); } .dot.c2, .fill.c2 { fill: var(--c2); }
.line.c3, .bar.c3 { stroke: var(--c3); } .dot.c3, .fill.c3 { fill: var(--c3); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 1rem; margin: .25rem 0 0;
  padding: 0; font-size: .85rem; }
.key { display: inline-block; width: 1rem; height: .25rem; margin-right: .4rem;
  vertical-align: middle; }
.key.c0 { background: var(--c0); } .key.c1 { background: var(--c1); }
.key.c2 { background: var(--c2); } .key.c3 { background: var(--c3); }
.scrolls { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--rule);
  white-space: nowrap; vertical-align: top; }
thead th { color: var(--quiet); font-weight: 500; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; color: var(--quiet); }
"""

_OVER_TIME = (
    ("first_score", "Score of the first player", percent, 0.5),
    ("draws", "Draws", percent, None),
    ("length", "Length, plies", plain, None),
    ("branching", "Legal actions a ply", plain, None),
    ("decided", "Decided after this share of the moves", percent, None),
    ("lead_changes", "Lead changes a match", plain, None),
)


def report_page(report: Mapping[str, Any]) -> str:
    """Returns the page of one report."""
    sample = report["samples"][report["counted"]]
    pictures = [*_samples_pictures(report), *_histograms(sample)]
    body = [
        *_head(f"Balance of {game_title(report)}", _origin(report)),
        _list("verdicts", report["verdicts"]),
        _quiet(f"Counted: {counted_text(sample)}. Intervals are of 95 %."),
        _pictures(pictures),
        *_section("Samples", samples_table(report)),
        *_tables(report),
        *_notes([*report["notes"], *report["problems"]]),
        _definitions(),
    ]
    return _page(f"Balance of {game_title(report)}", body)


def comparison_page(comparison: Mapping[str, Any]) -> str:
    """Returns the page of two reports beside each other."""
    first, second = comparison["reports"]
    a, b = comparison["counted"]
    title = f"Balance of {game_title(first)} and {game_title(second)}"
    named = {"A": first, "B": second}
    shares = [
        (one["title"], Point(0, one["difference"], one["low"], one["high"]))
        for one in comparison["differences"]
        if one["measure"] in SHARES
    ]
    over_time = [
        line_chart(
            caption,
            {f"{letter}: {game_title(one)}": _over_time(one, key) for letter, one in named.items()},
            write=write,
            middle=middle,
        )
        for key, caption, write, middle in _OVER_TIME
    ]
    body = [
        *_head(title, f"A is {_origin(first)}; B is {_origin(second)}"),
        *_section("Differences", comparison_table(comparison)),
        _quiet(f"A: {counted_text(first['samples'][a])}."),
        _quiet(f"B: {counted_text(second['samples'][b])}."),
        _pictures(
            [
                interval_chart("Difference, B less A, with 95 % intervals", shares, middle=0.0),
                *over_time,
            ]
        ),
    ]
    for letter, report in named.items():
        body += [
            f"<h2>{letter}: {html.escape(game_title(report))}</h2>",
            _list("verdicts", report["verdicts"]),
            *_tables(report),
        ]
    problems = [text for report in (first, second) for text in report["problems"]]
    body += [*_notes([*comparison["notes"], *problems]), _definitions()]
    return _page(title, body)


def _samples_pictures(report: Mapping[str, Any]) -> list[str]:
    samples = report["samples"]
    rows = [(sample_title(one, short=True), _point(one["first_score"])) for one in samples]
    found = [interval_chart("Score of the first player by sample", rows, middle=0.5)]
    return found + [
        line_chart(f"{title}, self-play", {title: _over_time(report, key)}, write=write, middle=at)
        for key, title, write, at in _OVER_TIME
        if len(_over_time(report, key)) > 1
    ]


def _over_time(report: Mapping[str, Any], key: str) -> list[Point]:
    return [
        _point(sample[key], sample["last_checkpoint"])
        for sample in report["samples"]
        if sample["source"] == SELFPLAY and sample[key] is not None
    ]


def _point(estimate: Mapping[str, Any], x: float = 0) -> Point:
    return Point(x, estimate["mean"], estimate["low"], estimate["high"])


def _histograms(sample: Mapping[str, Any]) -> list[str]:
    lengths = [
        (
            f"{one['from']}" if one["from"] == one["to"] else f"{one['from']}-{one['to']}",
            one["matches"],
        )
        for one in sample["lengths"]
    ]
    tenths = [
        (f"{10 * (number + 1)} %", count) for number, count in enumerate(sample["decided_shares"])
    ]
    return [
        bar_chart("Length of the counted matches", lengths, x_label="plies"),
        bar_chart(
            "When the counted matches were decided", tenths, x_label="share of the moves, up to"
        ),
    ]


def _tables(report: Mapping[str, Any]) -> list[str]:
    openings, actions = report["openings"], report["actions"]
    mirrored = (
        f" Mirror images ({', '.join(openings['mirrored'])}) count as one."
        if openings["mirrored"]
        else ""
    )
    parts = [
        *_section("First moves", openings_table(openings["first_moves"])),
        *_section(
            f"Openings of {openings['lines']['plies']} plies", openings_table(openings["lines"])
        ),
        _quiet(
            f"{openings['lines']['different']:,} different ones, as diverse as "
            f"{openings['lines']['effective']:.1f} equally common ones.{mirrored}"
        ),
        *_section("How much the stronger side wins", skill_table(report)),
        *_section("Actions that are never or hardly chosen", least_chosen_table(report)),
        _quiet(
            f"Of {actions['all']:,} actions {actions['never_legal']:,} were never legal, "
            f"{actions['never_chosen']:,} never and {actions['hardly_chosen']:,} hardly chosen "
            f"in {actions['positions']:,} positions."
        ),
    ]
    return parts


def _section(title: str, table: tuple[Sequence[str], Sequence[Sequence[str]]]) -> list[str]:
    header, rows = table
    if not rows:
        return []
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    lines = "".join(
        "<tr>"
        + f'<th scope="row">{html.escape(row[0])}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return [
        f"<h2>{html.escape(title)}</h2>",
        f'<div class="scrolls" tabindex="0" role="region" aria-label="{html.escape(title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>",
    ]


def _origin(report: Mapping[str, Any]) -> str:
    upto = "" if report["update"] is None else f" up to checkpoint {report['update']:,}"
    return f"{report['run']}{upto}, {report['matches']:,} matches read, {report['created']}"


def _head(title: str, origin: str) -> list[str]:
    return [f"<h1>{html.escape(title)}</h1>", _quiet(origin)]


def _quiet(text: str) -> str:
    return f'<p class="quiet">{html.escape(text)}</p>'


def _pictures(pictures: Iterable[str]) -> str:
    return f'<div class="pictures">{"".join(pictures)}</div>'


def _list(kind: str, texts: Sequence[str]) -> str:
    items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
    return f'<ul class="{kind}">{items}</ul>'


def _notes(texts: Sequence[str]) -> list[str]:
    return ["<h2>Notes</h2>", _list("notes", texts)] if texts else []


def _definitions() -> str:
    items = "".join(
        f"<dt>{html.escape(term)}</dt><dd>{html.escape(meaning)}</dd>"
        for term, meaning in DEFINITIONS
    )
    return f"<h2>What the words mean</h2><dl>{items}</dl>"


def _page(title: str, body: Sequence[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main></body></html>\n"
    )
