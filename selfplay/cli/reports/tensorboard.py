"""selfplay tensorboard: runs TensorBoard on a run in any store."""

from typing import Annotated

import typer

from selfplay.cli.output import say

EXAMPLES = (
    "selfplay tensorboard runs/connect_four",
    "selfplay tensorboard s3://bucket/runs/connect_four --port 6007",
)


def tensorboard(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="A run directory or URL.", envvar="SELFPLAY_RUN"),
    ],
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="The address to listen on; 0.0.0.0 for all interfaces.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", help="The port; 0 for any free port.")
    ] = 6006,
) -> None:
    """Show a run in TensorBoard.

    The run may be in training, and it need not exist yet. If it is in a bucket or in Redis, its
    event files are fetched as they grow. To show several runs in directories, use
    tensorboard --logdir runs.
    """
    from selfplay.cli.signals import StopSignals
    from selfplay.configuration import check_range
    from selfplay.reports.tensorboard import show_board
    from selfplay.runtime.lifetime import Lifetime

    check_range("--port", port, low=0, high=65535)
    lifetime = Lifetime()

    def tell(text: str) -> None:
        say(text, err=True)

    with StopSignals(does="ends TensorBoard") as signals:
        signals.ready(lifetime.stop, tell)
        show_board(run, host=host, port=port, lifetime=lifetime, say=tell)
