"""The command `selfplay`."""

from typing import Annotated

import typer

from selfplay.cli.group import Commands
from selfplay.cli.options import examples
from selfplay.cli.output import say
from selfplay.cli.playing import analyze, arena, check, games, new_game, play, serve
from selfplay.cli.process import Ending, prepare_streams
from selfplay.cli.reports import (
    balance,
    bench,
    curve,
    diagnose,
    doctor,
    evaluate,
    export,
    health,
    ladder,
    matches,
    rerun,
    status,
    suite,
    tensorboard,
    tune,
)
from selfplay.cli.training import clone, evaluator, launch, reanalyze, train, trainer, worker

# No rich markup, because "RUN[@UPDATE]" looks like it.
app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=examples(
        "selfplay train connect_four --minutes 15",
        "selfplay play runs/connect_four",
        "selfplay COMMAND --help",
    ),
)


def _print_version(asked: bool) -> bool:
    if asked:
        from selfplay.version import software_version

        say(f"selfplay {software_version()}")
        raise typer.Exit
    return asked


@app.callback()
def selfplay(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
    # Commands.main removes it from the arguments; here only for --help.
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the whole traceback of an error.")
    ] = False,
) -> None:
    """Train agents for two-player games by self-play, from the rules of the game."""


for module in (
    *(games, new_game, check, train, launch, trainer, worker, evaluator, reanalyze),
    *(status, health, clone),
    *(play, serve, analyze, matches, arena, ladder, suite, evaluate, diagnose, balance),
    *(curve, tensorboard, export, rerun, bench, tune, doctor),
):
    name = module.__name__.rpartition(".")[2]
    app.command(name.replace("_", "-"), epilog=examples(*module.EXAMPLES))(getattr(module, name))


def main() -> None:
    """Runs the command that was typed; does not return."""
    ending = Ending()
    prepare_streams()
    try:
        app()
    except SystemExit as leaving:
        ending.status = leaving.code if isinstance(leaving.code, int) else 0
        raise
