"""selfplay health: tells probes whether a process of a run is healthy."""

import dataclasses
from typing import Annotated

import typer

from selfplay.cli.options import Json
from selfplay.cli.output import say, say_json

EXAMPLES = (
    "selfplay health runs/connect_four trainer",
    "selfplay health runs/connect_four worker --here --ready",
)


def health(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="A run directory or URL.", envvar="SELFPLAY_RUN"),
    ],
    role: Annotated[
        str, typer.Argument(metavar="ROLE", help="trainer, worker, evaluator, reanalyzer or any.")
    ] = "any",
    id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="Only the process with this id.", show_default=False
        ),
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Only processes on this host or in this container.")
    ] = False,
    ready: Annotated[
        bool, typer.Option("--ready", help="The process must also be at work, not waiting.")
    ] = False,
    max_age: Annotated[
        float,
        typer.Option(
            "--max-age", metavar="SECONDS", help="Maximum age of its last heartbeat, up to 120."
        ),
    ] = 120.0,
    as_json: Json = False,
) -> None:
    """Tell probes whether a process of a run is healthy.

    Exits with 0 if at least one matching process is healthy, else with 1.
    Reads the heartbeats of the run, so no port is needed.
    """
    from selfplay.reports.health import diagnose

    diagnosis = diagnose(run, role, id=id, here=here, ready=ready, max_age_seconds=max_age)
    if as_json:
        say_json(dataclasses.asdict(diagnosis))
    else:
        say(diagnosis.text)
    raise typer.Exit(0 if diagnosis.healthy else 1)
