"""selfplay diagnose: whether a run learns, what holds it back, and what to change."""

import textwrap
from typing import Annotated, Any

import typer

from selfplay.cli.options import Json, MovedGame, RunPath
from selfplay.cli.output import facts, say, say_json

EXAMPLES = (
    "selfplay diagnose runs/connect_four",
    "selfplay diagnose runs/connect_four --all",
    "selfplay diagnose runs/connect_four --json",
)

_WIDTH = 100


def diagnose(
    run: RunPath,
    all_findings: Annotated[
        bool, typer.Option("--all", help="Also list what is fine and what cannot be told yet.")
    ] = False,
    game: MovedGame = None,
    as_json: Json = False,
) -> None:
    """Say whether a run learns, and what holds it back.

    While it trains or afterwards. Each finding is a measurement with a threshold, and says what to
    change where it is a problem. Where the data are too few it says that it cannot tell. Nothing
    is written.
    """
    from selfplay import startup

    startup.prepare()
    from selfplay.cli.targets import moved_game
    from selfplay.diagnosis.diagnose import diagnose as judged
    from selfplay.diagnosis.evidence import read_evidence
    from selfplay.run import RunDirectory

    opened = RunDirectory.open(run)
    evidence = read_evidence(opened, game=moved_game(game))
    document = {
        "run": opened.url,
        "game": opened.game_name,
        "update": evidence.update,
        "matches": evidence.cursor.get("matches", 0),
        **judged(evidence).to_dict(),
    }
    if as_json:
        say_json(document)
        return
    say(facts(_facts(document)))
    for state, title in (("problem", ""), ("fine", "fine"), ("unknown", "cannot tell yet")):
        found = [one for one in document["findings"] if one["state"] == state]
        if state == "problem":
            for one in found:
                say(f"\n{_problem(one)}")
        elif all_findings and found:
            say(f"\n{title}")
            for one in found:
                say(_wrapped(f"{one['name']}: {_without_lead(one['words'])}", "  "))
        elif found:
            say(f"\n{title}: {len(found)} findings; --all lists them")


def _facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = [
        ("run", document["run"]),
        ("game", document["game"]),
        ("trained", f"update {document['update']:,}, {document['matches']:,} matches"),
        ("diagnosis", document["headline"]),
    ]
    trend = document["loss_trend"]
    if trend is not None:
        pairs.append(
            (
                "loss",
                f"{trend['per_1000']:+.4f} per 1,000 updates (95 % interval {trend['low']:+.4f} to "
                f"{trend['high']:+.4f}) over the last {trend['updates']:,.0f}",
            )
        )
    return pairs + [("not read", text) for text in document["unreadable"]]


def _problem(one: dict[str, Any]) -> str:
    return "\n".join(
        (
            _wrapped(f"problem: {one['name']}", ""),
            _wrapped(f"measured: {one['words']}", "  "),
            _wrapped(f"a problem if: {one['threshold']}", "  "),
            _wrapped(f"change: {one['advice']}", "  "),
        )
    )


def _without_lead(words: str) -> str:
    return words.removeprefix("cannot tell yet: ")


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
