"""What the commands that join a run share: options, and the listening to signals."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from selfplay.cli.signals import StopSignals
from selfplay.cli.training.monitoring import monitoring

if TYPE_CHECKING:
    from selfplay.runtime.lifetime import Lifetime
    from selfplay.workers.joining import Listeners

GRACE_SECONDS = 9.0
"""After SIGTERM; whoever sends it often kills after ten."""

JoinRun = Annotated[
    str,
    typer.Option(
        "--run",
        metavar="RUN",
        help="A directory or a URL that the trainer sees too. It need not exist yet.",
        envvar="SELFPLAY_RUN",
        show_default=False,
    ),
]
Id = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="NAME",
        help="Its name, which no other has; by default the host's name and a free number.",
        show_default=False,
    ),
]
MaxMatches = Annotated[
    int, typer.Option("--max-matches", metavar="N", help="End after so many; 0 for no limit.")
]
MaxSeconds = Annotated[
    float, typer.Option("--max-seconds", metavar="S", help="End after so long; 0 for no limit.")
]
IdleExit = Annotated[
    float,
    typer.Option(
        "--idle-exit",
        metavar="S",
        help="End when nothing was heard of a trainer for so long; 0 to wait for ever.",
    ),
]


def make_bounds(max_matches: int, max_seconds: float, idle_exit: float) -> "Lifetime":
    """Returns when a process ends by itself, from its options.

    Raises:
        ConfigError: one of them is negative.
    """
    from selfplay.configuration import check_range
    from selfplay.runtime.lifetime import Lifetime

    check_range("--max-matches", max_matches, low=0)
    check_range("--max-seconds", max_seconds, low=0)
    check_range("--idle-exit", idle_exit, low=0)
    return Lifetime(max_matches=max_matches, max_seconds=max_seconds, idle_exit_seconds=idle_exit)


@contextlib.contextmanager
def listening(
    role: str,
    run: str,
    id: str | None,
    lifetime: "Lifetime",
    *,
    does: str,
    port: int | None,
    host: str,
    log_format: str,
) -> Iterator["Listeners"]:
    """Yields whom a process tells how it goes; meanwhile signals end its bounds.

    Args:
        role: "worker" or "evaluator".
        run: as it was typed.
        id: likewise.
        bounds: of the process.
        does: what it does after a signal.
        port: of the metrics, None for none.
        host: likewise.
        log_format: "text" or "json".
    """
    from rich.console import Console

    from selfplay.workers.joining import Listeners

    with (
        StopSignals(does=does, grace_seconds=GRACE_SECONDS) as signals,
        monitoring(role, id or "", run, port=port, host=host, log_format=log_format) as monitor,
    ):
        reporter = monitor.reporter(Console(stderr=True))
        signals.ready(lifetime.stop, reporter.message, lambda: lifetime.last_act())
        try:
            yield Listeners(say=reporter.message, monitor=monitor)
        finally:
            reporter.close()
