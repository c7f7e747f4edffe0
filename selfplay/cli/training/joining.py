"""The options and the handling of signals that worker and evaluator share."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.option_groups import OptionGroup
from selfplay.cli.options import Devices, MovedGame, Settings
from selfplay.cli.signals import StopSignals
from selfplay.cli.training.monitoring import MonitoringOptions, monitoring

if TYPE_CHECKING:
    from selfplay.runtime.lifetime import Lifetime
    from selfplay.workers.joining import Listeners

GRACE_SECONDS = 9.0
"""A process ends within this time after SIGTERM: ten seconds later it is usually killed."""

JoinRun = Annotated[
    str,
    typer.Option(
        "--run",
        metavar="RUN",
        help="A directory or a URL that the trainer can reach too. It need not exist yet.",
        envvar="SELFPLAY_RUN",
        show_default=False,
    ),
]
Id = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="NAME",
        help="A unique name; by default the host's name and a free number.",
        show_default=False,
    ),
]
MaxMatches = Annotated[
    int,
    typer.Option("--max-matches", metavar="N", help="Exit after so many matches; 0 for no limit."),
]
MaxSeconds = Annotated[
    float,
    typer.Option("--max-seconds", metavar="S", help="Exit after so many seconds; 0 for no limit."),
]
IdleExit = Annotated[
    float,
    typer.Option(
        "--idle-exit",
        metavar="S",
        help="Exit when no trainer was heard of for so many seconds; 0 for no limit.",
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class JoiningOptions(OptionGroup):
    """The options of every command that joins a run that is trained elsewhere."""

    run: JoinRun
    id: Id = None
    game: MovedGame = None
    max_matches: MaxMatches = 0
    max_seconds: MaxSeconds = 0.0
    idle_exit: IdleExit = 0.0
    devices: Devices = None
    settings: Settings = None

    def lifetime(self) -> "Lifetime":
        """Returns the lifetime of the process.

        Raises:
            ConfigError: an option is negative.
        """
        from selfplay.configuration import check_range
        from selfplay.runtime.lifetime import Lifetime

        check_range("--max-matches", self.max_matches, low=0)
        check_range("--max-seconds", self.max_seconds, low=0)
        check_range("--idle-exit", self.idle_exit, low=0)
        return Lifetime(
            max_matches=self.max_matches,
            max_seconds=self.max_seconds,
            idle_exit_seconds=self.idle_exit,
        )

    def asked_settings(self) -> dict[str, dict[str, Any]]:
        """Returns the settings of `--set` and the environment, by section."""
        from selfplay.settings import read_settings

        return read_settings(overrides=self.settings or ())


@contextlib.contextmanager
def listening(
    role: str,
    options: JoiningOptions,
    lifetime: "Lifetime",
    *,
    does: str,
    monitored: MonitoringOptions,
) -> Iterator["Listeners"]:
    """Yields the listeners of a process; meanwhile signals end its lifetime.

    Args:
        role: "worker", "evaluator" or "reanalyzer".
        options: what was typed.
        lifetime: of the process.
        does: what the process does after a signal.
        monitored: options for monitoring.
    """
    from rich.console import Console

    from selfplay.workers.joining import Listeners

    with (
        StopSignals(does=does, grace_seconds=GRACE_SECONDS) as signals,
        monitoring(role, options.id or "", options.run, monitored) as monitor,
    ):
        reporter = monitor.reporter(Console(stderr=True))
        signals.ready(lifetime.stop, reporter.message, lambda: lifetime.last_act())
        try:
            yield Listeners(say=reporter.message, monitor=monitor)
        finally:
            reporter.close()
