"""selfplay matches: the matches that a run has played with itself."""

from typing import Annotated

import typer

from selfplay.cli.options import Json, RunPath
from selfplay.cli.output import say, say_json, table

EXAMPLES = (
    "selfplay matches runs/connect_four",
    "selfplay matches runs/connect_four loop-00000012-0003",
)


def matches(
    run: RunPath,
    match_id: Annotated[
        str | None,
        typer.Argument(metavar="[MATCH]", help="Print this one.", show_default=False),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="List so many of the newest; 0 for all.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """List a run's matches, or print one.

    The newest come first. One match is printed ply by ply: board, move, value after the search
    and by the network alone.
    """
    from selfplay.configuration import check_range

    check_range("--limit", limit, low=0)
    if match_id is None:
        _list(run, limit, as_json)
    else:
        _print(run, match_id, as_json)


def _list(run: RunPath, limit: int, as_json: bool) -> None:
    from selfplay.processes.match_report import newest_matches

    rows = newest_matches(run, limit=limit)
    if as_json:
        say_json(rows)
    elif not rows:
        say(f"{run} has no finished match yet")
    else:
        say(
            table(
                ["match", "plies", "result", "checkpoint"],
                [
                    [row["match_id"], str(row["plies"]), row["result"], str(row["checkpoint"])]
                    for row in rows
                ],
            )
        )


def _print(run: RunPath, match_id: str, as_json: bool) -> None:
    from selfplay import startup
    from selfplay.processes.match_report import match_report

    startup.prepare()
    report = match_report(run, match_id)
    if as_json:
        say_json(report)
        return
    say(
        f"match {match_id} of {report['game']}: {report['plies']} plies, "
        f"played by checkpoint {report['checkpoint']}"
    )
    say("values are expected results for the player to move, from -1 lost to +1 won")
    for move in report["moves"]:
        drawn = ", drawn at random" if move["exploratory"] else ""
        say(f"\n{move['board']}\n")
        say(
            f"ply {move['ply']}: player {move['player']} plays {move['name']} "
            f"(action {move['action']}{drawn}); value {move['value']:+.2f} after "
            f"{move['simulations']} simulations, {move['network_value']:+.2f} by the network alone"
        )
    say(f"\n{report['board']}\n")
    say(report["result"])
