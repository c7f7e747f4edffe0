"""The documents of the training page: curves, strength, mistakes, and the state of the processes.

It imports much that other pages do not need; `answers` imports it when somebody opens this page.
"""

import collections
import math
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.diagnosis.diagnose import diagnose
from selfplay.diagnosis.evidence import read_evidence
from selfplay.errors import RunError, SelfplayError
from selfplay.reports.balance.stored import read_report
from selfplay.reports.ladder import ladder
from selfplay.reports.status import run_status
from selfplay.run import read_evaluations, read_mistakes
from selfplay.serve.served import ServedRun
from selfplay.telemetry import Point, mistake_rates, read_scalars

MOST_POINTS = 500
"""Points of a curve at most; longer ones are averaged."""

_GROUPS = ("learner", "replay", "rollout", "rate", "time", "workers")
"""Groups of scalars whose names are shown without the group."""


def status_document(run: ServedRun) -> dict[str, Any]:
    """Returns the document of `selfplay status --json`, and `id`; may take seconds."""
    return {**run_status(run.directory.url), "id": run.id}


def training_document(run: ServedRun, *, game: str) -> dict[str, Any]:
    """Returns the document of the training page; docs/web-protocol.md explains its keys."""
    directory = run.directory
    directory.fetch_files("tensorboard")
    problems: list[str] = []
    return {
        "run": run.id,
        "title": run.title,
        "game": game,
        "series": {
            name: _curve(points)
            for name, points in _named(read_scalars(directory.tensorboard_path)).items()
        },
        "strength": _strength(run, problems),
        "ratings": _ratings(run),
        "mistakes": _mistakes(run, problems),
        "diagnosis": _diagnosis(run, problems),
        "balance": read_report(directory),
        "problems": problems,
    }


def _diagnosis(run: ServedRun, problems: list[str]) -> dict[str, Any] | None:
    """Returns the diagnosis without evaluating the network; None if it fails."""
    try:
        found = diagnose(read_evidence(run.directory, network=False))
    except SelfplayError as error:
        problems.append(str(error))
        return None
    return {
        "headline": found.headline,
        "learns": found.learns,
        "problems": [
            {"name": finding.name, "words": judgement.words, "advice": finding.advice}
            for finding, judgement in found.named("problem")
        ],
    }


def _named(scalars: Mapping[str, Sequence[Point]]) -> dict[str, Sequence[Point]]:
    """Returns the scalars by their names on the page."""
    found: dict[str, Sequence[Point]] = {}
    for name, points in scalars.items():
        group, _, rest = name.partition("/")
        if group.partition("_")[0] in ("strength", "mistakes", "suite"):
            continue
        found[rest if group in _GROUPS else name] = points
    return found


def _curve(points: Sequence[Point]) -> dict[str, list[float]]:
    """Returns a curve of at most `MOST_POINTS` points, means of equal stretches."""
    finite = [point for point in points if math.isfinite(point.value)]
    stretch = math.ceil(len(finite) / MOST_POINTS) or 1
    parts = [finite[first : first + stretch] for first in range(0, len(finite), stretch)]
    return {
        # The last of a stretch, so that the curve ends at the newest update.
        "x": [part[-1].step for part in parts],
        "y": [sum(point.value for point in part) / len(part) for part in parts],
    }


def _strength(run: ServedRun, problems: list[str]) -> list[dict[str, Any]]:
    rows = read_evaluations(run.directory.store, lambda error: problems.append(str(error)))
    keys = ("opponent", "update", "score", "low", "high", "matches")
    return [{key: row[key] for key in keys if key in row} for row in rows]


def _ratings(run: ServedRun) -> list[dict[str, Any]]:
    """Returns the ratings of the run's checkpoints from all stored matches, as `selfplay ladder`.

    Only checkpoints with the most common number of simulations are comparable along a curve; others
    are left out. Empty if no matches rate them.
    """
    try:
        agents = ladder([run.directory.url]).to_dict()["agents"]
    except SelfplayError:
        # `strength` reports damaged files.
        return []
    # Who won or lost every match has no rating, only a bound.
    own = [
        one
        for one in agents
        if one["update"] is not None and one["connected"] and not one["unbounded"]
    ]
    counts = collections.Counter(one["simulations"] for one in own)
    usual = counts.most_common(1)[0][0] if counts else None
    return [
        {
            "update": one["update"],
            "rating": one["elo"],
            "low": one["interval"][0],
            "high": one["interval"][1],
            "matches": one["matches"],
            "simulations": one["simulations"],
        }
        for one in own
        if one["simulations"] == usual
    ]


def _mistakes(run: ServedRun, problems: list[str]) -> list[dict[str, Any]]:
    try:
        records = read_mistakes(run.directory.store)
    except RunError as error:
        problems.append(str(error))
        return []
    return [
        {
            "update": record["update"],
            "plies": rate.plies,
            "share": rate.share,
            "low": rate.low,
            "high": rate.high,
            "raw_share": rate.raw_share,
            "random_share": rate.random_share,
        }
        for record in records
        for rate in mistake_rates(record)
    ]
