"""selfplay matches: lists the matches and checkpoints of a run, with their provenance."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from selfplay.cli.options import Json, MovedGame, RunPath
from selfplay.cli.output import say, say_json, table

EXAMPLES = (
    "selfplay matches runs/connect_four",
    "selfplay matches runs/connect_four loop-00000012-0003",
    "selfplay matches runs/connect_four --worker w1 --from-checkpoint 500 --limit 0 --field plies",
    "selfplay matches runs/connect_four --checkpoints",
)


def matches(
    run: RunPath,
    match_id: Annotated[
        str | None,
        typer.Argument(metavar="[MATCH]", help="The id of a match to print.", show_default=False),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", metavar="N", help="Number of matches to list, newest first; 0 for all."
        ),
    ] = 20,
    worker: Annotated[
        str | None,
        typer.Option("--worker", metavar="ID", help="Only matches of this worker."),
    ] = None,
    first: Annotated[
        int | None,
        typer.Option(
            "--from-checkpoint",
            metavar="N",
            help="Only matches that ended with this or a later checkpoint.",
        ),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            "--to-checkpoint",
            metavar="N",
            help="Only matches that ended with this or an earlier checkpoint.",
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            "--field", metavar="NAME", help="Print only this field, such as plies or worker."
        ),
    ] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="List the checkpoints instead.")
    ] = False,
    game: MovedGame = None,
    as_json: Json = False,
) -> None:
    """List a run's matches, or print one.

    The newest come first. A match is printed ply by ply: board, move, value after the search, and
    value of the network alone.
    """
    from selfplay.configuration import check_range
    from selfplay.reports.match_report import newest_matches, stored_checkpoints

    check_range("--limit", limit, low=0)
    if match_id is not None:
        _print(run, match_id, game, as_json)
        return
    if game is not None:
        from selfplay.cli.targets import check_moved_game

        check_moved_game(run, game)
    if checkpoints:
        rows = stored_checkpoints(run, limit=limit, on_problem=_warn)
        columns = ("update", "time", "matches", "positions", "settings_hash", "selfplay")
        _list(run, rows, columns, field, as_json)
    else:
        rows = newest_matches(
            run,
            limit=limit,
            worker=worker,
            first_checkpoint=first,
            last_checkpoint=last,
            on_problem=_warn,
        )
        _list(run, rows, ("match_id", "plies", "result", "checkpoint"), field, as_json)


def _warn(problem: str) -> None:
    say(f"left out: {problem}", err=True)


def _list(
    run: Path,
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str],
    field: str | None,
    as_json: bool,
) -> None:
    from selfplay.errors import ConfigError

    if field is not None and rows and field not in rows[0]:
        raise ConfigError(
            f"--field is {field!r}, but there is no such field",
            hint=f"the fields are: {', '.join(rows[0])}",
        )
    if as_json:
        say_json([row[field] for row in rows] if field is not None else rows)
    elif not rows:
        kind = "checkpoint" if "update" in columns else "finished match"
        say(f"{run} has no such {kind} yet")
    elif field is not None:
        for row in rows:
            say(str(row[field]))
    else:
        header = ["match" if name == "match_id" else name for name in columns]
        say(table(header, [[str(row[name]) for name in columns] for row in rows]))


def _print(run: Path, match_id: str, game: str | None, as_json: bool) -> None:
    from selfplay import startup
    from selfplay.cli.targets import moved_game
    from selfplay.reports.match_report import match_report

    startup.prepare()
    report = match_report(run, match_id, game=moved_game(game))
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
        drawn += ", a fast move" if move["fast"] else ""
        say(f"\n{move['board']}\n")
        say(
            f"ply {move['ply']}: player {move['player']} plays {move['name']} "
            f"(action {move['action']}{drawn}); value {move['value']:+.2f} after "
            f"{move['simulations']} simulations, {move['network_value']:+.2f} by the network alone"
        )
    say(f"\n{report['board']}\n")
    say(report["result"])
