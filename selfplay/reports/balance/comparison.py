"""Two variants of a game beside each other: which differences are more than chance."""

from collections.abc import Mapping
from typing import Any

from selfplay.errors import ConfigError
from selfplay.reports.balance.sample import ENOUGH, OWN, SELFPLAY
from selfplay.reports.balance.verdicts import change

MEASURES = {
    "first_score": "score of the first player",
    "draws": "draws",
    "cut": "cut by the limit of plies",
    "length": "length, plies",
    "branching": "legal actions a ply",
    "decided": "decided after this share of the moves",
    "lead_changes": "lead changes a match",
    "comebacks": "won after being lost",
}
"""What is compared, and how it is called."""

SHARES = ("first_score", "draws", "cut", "decided", "comebacks")
"""Of these the unit is a share in [0, 1]."""


def compare(
    first: Mapping[str, Any], second: Mapping[str, Any], *, any_game: bool = False
) -> dict[str, Any]:
    """Returns two reports and the differences between them.

    Keys: "reports", the two; "counted", the sample of each that is compared; "differences", for
    each measure the estimates "first" and "second", the "difference" (second less first) with its
    95 % interval "low" and "high", and whether it "exceeds" chance, which is whether 0 lies
    outside; "notes".

    Args:
        first: of one run.
        second: of the other.
        any_game: whether the games may have different names.

    Raises:
        ConfigError: the runs are of different games.
    """
    if not any_game:
        check_same_game((first["run"], first["game"]), (second["run"], second["game"]))
    chosen = _comparable(first, second)
    one, other = first["samples"][chosen[0]], second["samples"][chosen[1]]
    differences = []
    for key, title in MEASURES.items():
        a, b = one[key], other[key]
        if a is None or b is None:
            continue
        interval = change(b, a)
        differences.append(
            {
                "measure": key,
                "title": title,
                "first": a,
                "second": b,
                "difference": b["mean"] - a["mean"],
                "low": None if interval is None else interval.low,
                "high": None if interval is None else interval.high,
                "exceeds": None
                if interval is None
                else bool(interval.low > 0 or interval.high < 0),
            }
        )
    return {
        "reports": [first, second],
        "counted": list(chosen),
        "differences": differences,
        "notes": _notes(first, second, one, other),
    }


def check_same_game(first: tuple[str, str], second: tuple[str, str]) -> None:
    """Raises `ConfigError` unless two runs are of one game: each its place and its game's name."""
    if first[1] != second[1]:
        raise ConfigError(
            f"{first[0]} is of {first[1]}, but {second[0]} of {second[1]}",
            hint="variants of one game are compared; --any-game compares these all the same",
        )


def _comparable(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[int, int]:
    """Returns a sample of each that were played alike, if there are such, else those that count."""
    reports = (first, second)
    counted = [report["samples"][report["counted"]]["source"] for report in reports]
    if counted == [OWN, OWN]:
        ours, theirs = map(_levels, reports)
        if common := ours.keys() & theirs.keys():
            return ours[max(common)], theirs[max(common)]
    own, other = map(_newest_selfplay, reports)
    if own is not None and other is not None:
        return own, other
    return first["counted"], second["counted"]


def _levels(report: Mapping[str, Any]) -> dict[int, int]:
    """Returns the samples of enough matches that were played for a report, by simulations."""
    # A later sample of as many simulations is of a later checkpoint.
    return {
        sample["simulations"]: index
        for index, sample in enumerate(report["samples"])
        if sample["source"] == OWN and sample["matches"] >= ENOUGH
    }


def _newest_selfplay(report: Mapping[str, Any]) -> int | None:
    """Returns the index of the newest sample of self-play, None if there is none."""
    found = [i for i, sample in enumerate(report["samples"]) if sample["source"] == SELFPLAY]
    return found[-1] if found else None


def _notes(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    one: Mapping[str, Any],
    other: Mapping[str, Any],
) -> list[str]:
    notes = []
    if first["rules"] == second["rules"]:
        notes.append(
            "both runs have the same rules: differences are between two trainings, not two games"
        )
    if one["source"] != other["source"]:
        notes.append(
            f"the matches were not played alike: {one['source']}, and {other['source']}; let both "
            "runs play with the same --matches and --simulations"
        )
    elif one["simulations"] != other["simulations"]:
        notes.append(
            f"one agent searched with {one['simulations']} simulations a move, the other with "
            f"{other['simulations']}"
        )
    updates = sorted((one["last_checkpoint"], other["last_checkpoint"]))
    if updates[1] > 1.5 * updates[0]:
        notes.append(
            f"one agent was trained for {updates[0]:,} updates, the other for {updates[1]:,}: a "
            "difference may be one of strength"
        )
    notes.append(
        f"{len(MEASURES)} measures are compared at 95 %: one in twenty differences exceeds its "
        "interval by chance alone"
    )
    return notes
