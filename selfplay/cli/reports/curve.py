"""selfplay curve: draws the training curve of a run."""

from pathlib import Path
from typing import Annotated

import typer

from selfplay.cli.options import Json, MovedGame, RunPath
from selfplay.cli.output import say, say_json

EXAMPLES = ("selfplay curve runs/connect_four --output curve.png",)


def curve(
    run: RunPath,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            metavar="FILE",
            help="The picture file; its ending, .png, .svg or .pdf, chooses the format.",
        ),
    ] = Path("curve.png"),
    game: MovedGame = None,
    as_json: Json = False,
) -> None:
    """Draw a run's strength and losses."""
    from selfplay.configuration import check_choice
    from selfplay.reports.curve import training_curve
    from selfplay.store.files import storage_errors

    check_choice("the ending of --output", output.suffix, (".png", ".svg", ".pdf"))
    if game is not None:
        from selfplay.cli.targets import check_moved_game

        check_moved_game(run, game)
    with storage_errors(output):
        training_curve(run, output, say=lambda text: say(text, err=True))
    if as_json:
        say_json({"run": str(run), "output": str(output)})
    else:
        say(f"{output} shows the training of {run}")
