"""selfplay train: trains an agent by self-play on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from selfplay.cli.option_groups import with_option_groups
from selfplay.cli.options import GameName, Json
from selfplay.cli.training.monitoring import MonitoringOptions, Profile
from selfplay.cli.training.run_training import TrainingOptions, run_training

EXAMPLES = (
    "selfplay train connect_four --minutes 15",
    "selfplay train othello --option size=6 --run runs/small --preset quick",
    "selfplay train mygame.py:MyGame --set search.num_simulations=64 --updates 5000",
)


@with_option_groups
def train(
    *,
    game_name: GameName,
    run_path: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="DIR",
            help="The run directory, by default runs/GAME; an existing run is resumed.",
            show_default=False,
        ),
    ] = None,
    simulations: Annotated[
        int | None,
        typer.Option("--simulations", metavar="N", help="Network evaluations per move."),
    ] = None,
    training: TrainingOptions,
    profile: Profile = False,
    as_json: Json = False,
) -> None:
    """Train an agent by self-play.

    Ctrl-C saves and stops; the same command continues.

    A new run gets settings that fit its game, this machine and the planned length: network,
    simulations, batch, window, openings. They are stored in the run.

    Settings that you give win, each by itself. They come from the preset, the file, environment
    variables such as SELFPLAY_SEARCH__NUM_SIMULATIONS, and --set and the other options; later
    ones override earlier ones.
    """
    run_training(
        game_name,
        run_path,
        training,
        settings={"search.num_simulations": simulations},
        monitored=MonitoringOptions(),
        as_json=as_json,
        profile=profile,
    )
