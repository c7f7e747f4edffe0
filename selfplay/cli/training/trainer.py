"""selfplay trainer: learns from the matches that workers store."""

from typing import Annotated

import typer

from selfplay.cli.option_groups import with_option_groups
from selfplay.cli.options import GameOfRun, Json
from selfplay.cli.training.monitoring import MonitoringOptions
from selfplay.cli.training.run_training import TrainingOptions, Workers, run_training

EXAMPLES = (
    "selfplay trainer --run runs/connect_four --game connect_four",
    "selfplay trainer --run runs/connect_four --updates 20000",
    "selfplay trainer --run R --coordinator 10.0.0.1:9000 --num-processes 2 --process-id 0",
)


@with_option_groups
def trainer(
    *,
    run: Annotated[
        str,
        typer.Option(
            "--run",
            metavar="RUN",
            help="A directory or a URL; an existing run is resumed, otherwise it is created.",
            envvar="SELFPLAY_RUN",
            show_default=False,
        ),
    ],
    game_name: GameOfRun = None,
    idle_exit: Annotated[
        float,
        typer.Option(
            "--idle-exit",
            metavar="S",
            help="Exit when no matches have arrived for so many seconds; 0 for no limit.",
        ),
    ] = 0.0,
    coordinator: Annotated[
        str | None,
        typer.Option(
            "--coordinator",
            metavar="HOST:PORT",
            help="Address of process 0, if several processes train together.",
            show_default=False,
        ),
    ] = None,
    num_processes: Annotated[
        int,
        typer.Option(
            "--num-processes", metavar="N", help="Number of processes that train together."
        ),
    ] = 1,
    process_id: Annotated[
        int,
        typer.Option("--process-id", metavar="I", help="Number of this process, counted from 0."),
    ] = 0,
    training: TrainingOptions,
    monitoring: MonitoringOptions,
    as_json: Json = False,
) -> None:
    """Train a run on the matches of workers.

    Takes in the matches of all workers, uses each position trainer.replay_ratio times, and
    publishes checkpoints. Waits if there are no new matches. Ctrl-C saves and stops; the same
    command continues.
    """
    from selfplay.configuration import check_range

    check_range("--idle-exit", idle_exit, low=0)
    check_range("--num-processes", num_processes, low=1)
    check_range("--process-id", process_id, low=0, high=num_processes - 1)

    def join_group() -> None:
        from selfplay.training.process_group import join

        if coordinator is not None:
            join(coordinator, count=num_processes, index=process_id)

    run_training(
        game_name,
        run,
        training,
        monitored=monitoring,
        as_json=as_json,
        workers=Workers(idle_exit=idle_exit, join_group=join_group),
    )
