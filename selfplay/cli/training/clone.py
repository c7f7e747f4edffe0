"""selfplay clone: copies a run, to continue it separately."""

from pathlib import Path
from typing import Annotated

import typer

from selfplay.cli.options import Json
from selfplay.cli.output import facts, say, say_json, size

EXAMPLES = (
    "selfplay clone runs/connect_four runs/experiment",
    "selfplay clone runs/connect_four@12000 s3://bucket/runs/experiment --with-matches",
)


def clone(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN[@UPDATE]", help="The run to copy; it is only read.", show_default=False
        ),
    ],
    destination: Annotated[
        Path,
        typer.Argument(
            metavar="NEW_RUN",
            help="A new directory, s3://BUCKET/NAME, gs://BUCKET/NAME or redis://HOST:PORT/DB/NAME.",
            show_default=False,
        ),
    ],
    update: Annotated[
        int | None,
        typer.Option(
            "--update",
            metavar="N",
            help="The checkpoint; the newest by default.",
            show_default=False,
        ),
    ] = None,
    with_matches: Annotated[
        bool,
        typer.Option(
            "--with-matches",
            help="Copy all matches and evaluations, not only what training needs to continue.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy a run, to continue it in another direction.

    Copies from any store to any other. The copy has one checkpoint and the matches of its replay
    window, and continues exactly as the run itself would. Its run.toml says where it came from.
    """
    from selfplay.errors import ConfigError
    from selfplay.run import clone_run, split_checkpoint_name

    run, named = split_checkpoint_name(str(source))
    if named is not None and update is not None and named != update:
        raise ConfigError(
            f"--update is {update}, but {source} names checkpoint {named}", hint="name one of them"
        )
    made = clone_run(
        run, destination, update=update if named is None else named, with_matches=with_matches
    )
    origin = made.run.document["origin"]
    if as_json:
        say_json(
            {
                "run": made.run.url,
                "game": made.run.game_name,
                "update": made.update,
                "match_files": made.match_files,
                "bytes": made.bytes,
                "origin": origin,
            }
        )
        return
    say(
        facts(
            [
                ("run", f"{made.run.url}, made from {origin['run']}@{made.update}"),
                ("copied", f"{made.match_files} files of matches, {size(made.bytes)} in all"),
            ]
        )
    )
