"""selfplay status: shows the state of a run."""

import time
from typing import Annotated, Any

import typer

from selfplay.cli.options import Json, MovedGame, RunPath
from selfplay.cli.output import facts, say, say_json, table

EXAMPLES = (
    "selfplay status runs/connect_four",
    "selfplay status runs/connect_four --watch",
    "selfplay status runs/connect_four --json",
)

_WATCH_SECONDS = 2.0
_SHOWN_ABOVE = (
    *("update", "matches", "positions", "reuse"),
    *("stale_matches", "foreign_matches", "damaged_files"),
)
"""Metrics of a trainer that the newest checkpoint knows, too."""
_CLEAR = "\x1b[H\x1b[2J"


def status(
    run: RunPath,
    watch: Annotated[bool, typer.Option("--watch", help="Update every 2 seconds.")] = False,
    game: MovedGame = None,
    as_json: Json = False,
) -> None:
    """Show the state of a run.

    Shows its progress, its processes, its strength, and what is wrong with it.
    """
    from selfplay.errors import ConfigError
    from selfplay.reports.status import run_status

    if watch and as_json:
        raise ConfigError("--watch and --json are both given", hint="--json prints one document")
    if game is not None:
        from selfplay.cli.targets import check_moved_game

        check_moved_game(run, game)
    document = run_status(run, diagnosis=True)
    if as_json:
        say_json(document)
        return
    while watch:
        say(_CLEAR + _text(document))
        time.sleep(_WATCH_SECONDS)
        document = run_status(run, diagnosis=True)
    say(_text(document))


def _text(document: dict[str, Any]) -> str:
    parts = [facts(_facts(document))]
    if document["processes"]:
        header = ["process", "alive", "checkpoint", "taken up", "matches/s", "heard of", "does"]
        rows = [_process_row(process) for process in document["processes"]]
        parts.append(table(header, rows))
    parts += [f"problem: {problem}" for problem in document["problems"]]
    return "\n\n".join(parts)


def _facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    from selfplay.telemetry import words

    reuse = document["reuse"]
    pairs = [
        ("run", document["run"]),
        ("game", document["game"]),
        *_origin(document["origin"]),
        ("update", f"{document['update']:,}"),
        (
            "played",
            f"{document['matches']:,} matches, {document['positions']:,} positions"
            + ("" if reuse is None else f", each used {reuse:.2f} times"),
        ),
        *_endings(document["recent"]),
        ("trained", words.duration(document["elapsed_seconds"]) + _plan(document["plan"])),
        ("saved", _saved(document)),
        *_usage(document["usage"]),
    ]
    left_out = [f"{count:,} {reason} matches" for reason, count in document["left_out"].items()]
    if document["damaged_files"]:
        left_out.append(f"{document['damaged_files']:,} damaged files")
    if left_out:
        pairs.append(("left out", ", ".join(left_out)))
    pairs += _held_out(document) + _gate(document["gate"])
    pairs.append(("diagnosis", f"{document['diagnosis']} (more: selfplay diagnose)"))
    for process in document["processes"]:
        if process["role"] == "trainer" and process["alive"]:
            pairs += _trainer_facts(process)
    for index, one in enumerate(document["strength"]):
        score = words.percent_interval(one["score"], one["low"], one["high"])
        text = f"{score} against {one['opponent']} at update {one['update']:,}"
        pairs.append(("" if index else "strength", text))
    return [*pairs, *_mistakes(document["mistakes"]), *_suite(document["suite"])]


def _usage(usage: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns the hours of processes by role, and what they cost."""
    if not usage["hours"]:
        return []
    text = ", ".join(f"{role} {number:,.2f} h" for role, number in usage["hours"].items())
    cost = usage["cost"]
    return [("ran", text), *([] if cost is None else [("cost", f"{cost:,.2f}")])]


def _held_out(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns the losses on matches kept out of training beside those on matches learnt from."""
    losses = document["held_out"]
    if losses is None:
        return []
    parts = [
        f"{name} loss {number:.3f}, {losses['learnt'][name]:.3f} on matches learnt from"
        for name, number in losses["held_out"].items()
    ]
    return [("held out", "; ".join(parts))]


def _gate(gate: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Returns which weights self-play uses, if there is a gate."""
    if gate is None:
        return []
    text = f"self-play uses the weights of update {gate['accepted']:,}"
    if gate["score"] is not None:
        text += f"; {gate['tested']:,} was tested last and scored {100 * gate['score']:.1f} %"
    return [("gate", text)]


def _endings(recent: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Returns the results of the newest matches."""
    from selfplay.telemetry.metrics import rows

    return [] if recent is None else [("results", ", ".join(rows(recent).get("results", [])))]


def _mistakes(record: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Returns the mistakes of a checkpoint in solved positions."""
    from selfplay.telemetry import mistake_rates, words

    if record is None:
        return []
    share, *parts = words.mistakes(mistake_rates(record))
    return [("mistakes", f"{share} at update {record['update']:,}"), ("", ", ".join(parts))]


def _suite(record: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Returns what a checkpoint did in a position suite."""
    from selfplay.telemetry import suite_score, words

    if record is None:
        return []
    text = f"{words.suite(suite_score(record))} at update {record['update']:,}"
    failed = ", ".join(record["failed"])
    return [("suite", text), *([("", f"not: {failed}")] if failed else [])]


def _trainer_facts(process: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns further metrics of a trainer, by row of the screen."""
    from selfplay.telemetry.metrics import rows

    shown = rows(process, leave_out=_SHOWN_ABOVE)
    return [(row, ", ".join(parts)) for row, parts in shown.items() if row != "results"]


def _origin(origin: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Returns the run from which this one was created, if any."""
    if origin is None:
        return []
    what = "began with the weights of" if origin.get("weights_only") else "copied from"
    return [("origin", f"{what} {origin['run']}@{origin['update']}")]


def _saved(document: dict[str, Any]) -> str:
    from selfplay.telemetry import words

    if document["checkpoint"] is None:
        return "no checkpoint yet"
    text = f"checkpoint {document['checkpoint']:,}"
    age = document["checkpoint_age_seconds"]
    return text if age is None else f"{text}, {words.duration(age)} ago"


def _plan(plan: dict[str, float]) -> str:
    parts = [f"{plan['minutes']:g} min"] if plan["minutes"] else []
    parts += [f"{plan['updates']:,} updates"] if plan["updates"] else []
    return f" of {' or '.join(parts)} planned" if parts else ", no end planned"


def _process_row(process: dict[str, Any]) -> list[str]:
    rate, checkpoint = process["matches_per_second"], process["checkpoint"]
    pickup = process.get("pickup_seconds")
    return [
        f"{process['role']} {process['id']}",
        "yes" if process["alive"] else "no",
        "-" if checkpoint is None else str(checkpoint),
        "-" if pickup is None else f"after {pickup:.1f} s",
        "-" if rate is None else f"{rate:,.1f}",
        f"{process['seconds_ago']:.0f} s ago",
        str(process.get("state") or "-"),
    ]
