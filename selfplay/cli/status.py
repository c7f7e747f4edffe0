"""selfplay status: how a run is doing, or did."""

from typing import Any

from selfplay.cli.options import Json, RunPath
from selfplay.cli.output import facts, say, say_json, table

EXAMPLES = ("selfplay status runs/connect_four", "selfplay status runs/connect_four --json")


def status(run: RunPath, as_json: Json = False) -> None:
    """Show how a run is doing.

    How far it is, which processes work on it, how strong it is, and what is wrong with it.
    """
    from selfplay.processes.status import run_status

    document = run_status(run)
    if as_json:
        say_json(document)
        return
    say(facts(_facts(document)))
    if document["processes"]:
        header = ["process", "alive", "checkpoint", "matches/s", "heard of"]
        say("\n" + table(header, [_process_row(process) for process in document["processes"]]))
    for problem in document["problems"]:
        say(f"\nproblem: {problem}")


def _facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    from selfplay.telemetry import words

    checkpoint = document["checkpoint"]
    reuse = document["reuse"]
    pairs = [
        ("run", document["run"]),
        ("game", document["game"]),
        ("update", f"{document['update']:,}"),
        (
            "played",
            f"{document['matches']:,} matches, {document['positions']:,} positions"
            + ("" if reuse is None else f", each used {reuse:.2f} times"),
        ),
        ("trained", words.duration(document["elapsed_seconds"]) + _plan(document["plan"])),
        ("saved", "no checkpoint yet" if checkpoint is None else f"checkpoint {checkpoint:,}"),
    ]
    for index, one in enumerate(document["strength"]):
        score = words.percent_interval(one["score"], one["low"], one["high"])
        text = f"{score} against {one['opponent']} at update {one['update']:,}"
        pairs.append(("" if index else "strength", text))
    return pairs


def _plan(plan: dict[str, float]) -> str:
    parts = [f"{plan['minutes']:g} min"] if plan["minutes"] else []
    parts += [f"{plan['updates']:,} updates"] if plan["updates"] else []
    return f" of {' or '.join(parts)} planned" if parts else ", no end planned"


def _process_row(process: dict[str, Any]) -> list[str]:
    rate, checkpoint = process["matches_per_second"], process["checkpoint"]
    return [
        f"{process['role']} {process['id']}",
        "yes" if process["alive"] else "no",
        "-" if checkpoint is None else str(checkpoint),
        "-" if rate is None else f"{rate:,.1f}",
        f"{process['seconds_ago']:.0f} s ago",
    ]
