"""selfplay tensorboard: TensorBoard on a run, wherever it lies."""

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
        typer.Option("--host", metavar="ADDRESS", help="Who may reach it: 0.0.0.0 for everybody."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", help="Its port; 0 for any that is free.")
    ] = 6006,
) -> None:
    """Show a run in TensorBoard.

    The run may be in training, and need not exist yet. Of a run in a bucket or in Redis the event
    files are fetched as they grow. Several runs in directories: tensorboard --logdir runs.
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
