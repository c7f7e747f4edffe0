"""Options and arguments that several commands share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

GameName = Annotated[
    str,
    typer.Argument(
        metavar="GAME",
        help="A name (see selfplay games), file.py or file.py:Class, package.module:Class, "
        "pgx:ID or open_spiel:NAME.",
        show_default=False,
    ),
]
RunPath = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="A run directory, such as runs/connect_four."),
]
MovedGame = Annotated[
    str | None,
    typer.Option(
        "--game",
        metavar="GAME",
        help="The game of the run, if its file has moved; its rules must be the same.",
        show_default=False,
    ),
]
GameOfRun = Annotated[
    str | None,
    typer.Option(
        "--game",
        metavar="GAME",
        help="The game; required to create a run, or if the game file has moved.",
        envvar="SELFPLAY_GAME",
        show_default=False,
    ),
]
GameOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="An option of the game, such as size=6. May be repeated.",
        show_default=False,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]
Preset = Annotated[
    str,
    typer.Option(
        "--preset", metavar="NAME", help="Settings to start from: default, quick, strong, large."
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="A TOML file of settings; they override the preset."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="One setting; overrides all other sources. May be repeated.",
        show_default=False,
    ),
]
_SEED = typer.Option("--seed", metavar="N", help="Seed of all random numbers.")
Seed = Annotated[int, _SEED]
RunSeed = Annotated[int | None, _SEED]
Minutes = Annotated[
    float | None,
    typer.Option("--minutes", metavar="M", help="Planned length in minutes; by default unlimited."),
]
Updates = Annotated[
    int | None,
    typer.Option("--updates", metavar="N", help="Planned length in updates."),
]
InitFrom = Annotated[
    str | None,
    typer.Option(
        "--init-from",
        metavar="RUN[@UPDATE]",
        help="Start a new run with the weights of another run, and nothing else of it. "
        "If its network is larger, they grow into it.",
        show_default=False,
    ),
]
Devices = Annotated[
    int | None,
    typer.Option(
        "--devices",
        metavar="N",
        min=1,
        help="CPU cores to use; by default all that are available, see selfplay doctor.",
        show_default=False,
    ),
]
Simulations = Annotated[
    int | None,
    typer.Option(
        "--simulations",
        metavar="N",
        help="Network evaluations per move; 0 plays without search. By default as in evaluations.",
        show_default=False,
    ),
]

Inference = Annotated[
    str | None,
    typer.Option(
        "--inference",
        metavar="BACKEND",
        help="Backend that computes the network of a run: auto, xla, onnx or onnx-int8. By default "
        "that of the run, or auto if this machine cannot use it.",
        envvar="SELFPLAY_SEARCH__INFERENCE",
        show_default=False,
    ),
]


def overrides(settings: Sequence[str] | None, asked: Mapping[str, int | float | None]) -> list[str]:
    """Returns the settings of `--set` and other options, as SECTION.KEY=VALUE.

    Args:
        settings: of `--set`.
        asked: values of other options, by setting; None if an option was not given.
    """
    given = [f"{name}={value}" for name, value in asked.items() if value is not None]
    return [*(settings or ()), *given]


def examples(*lines: str) -> str:
    """Returns the epilog of a command's help."""
    # \b: Click keeps the line breaks of the paragraph.
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
