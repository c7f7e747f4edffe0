"""Options for monitoring a process: metrics, health and logs."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfplay.cli.option_groups import OptionGroup
from selfplay.errors import SelfplayError

if TYPE_CHECKING:
    from selfplay.telemetry import Monitor

MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        metavar="PORT",
        help="Serve /metrics, /healthz and /readyz on this port; 0 for any free port. By default "
        "no port is opened.",
        show_default=False,
    ),
]
MetricsHost = Annotated[
    str,
    typer.Option(
        "--metrics-host",
        metavar="ADDRESS",
        help="The address to listen on; 0.0.0.0 for all interfaces, so that probes can reach it.",
    ),
]
LogFormat = Annotated[
    str,
    typer.Option(
        "--log-format",
        metavar="FORMAT",
        help="text, or json for one JSON object per line on stderr.",
    ),
]

Profile = Annotated[
    bool,
    typer.Option(
        "--profile",
        help="Write a trace of a few chunks after warm-up, for Perfetto and TensorBoard.",
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MonitoringOptions(OptionGroup):
    """The options of `monitoring`."""

    metrics_port: MetricsPort = None
    metrics_host: MetricsHost = "127.0.0.1"
    log_format: LogFormat = "text"


@contextlib.contextmanager
def monitoring(
    role: str, id: str, run: str | Path, options: MonitoringOptions
) -> Iterator["Monitor"]:
    """Yields the monitor of this process; at the end closes its port, however it ends.

    With JSON logs, an error becomes one line of JSON instead of two lines of text.

    Args:
        role: "trainer", "worker", "evaluator" or "reanalyzer".
        id: tells processes of one role apart.
        run: the run, as the user wrote it.
        options: the port for metrics, and the format of logs.

    Raises:
        ConfigError: an unknown format, a port that cannot be opened, or a fleet that was launched
            by another version of selfplay.
    """
    from selfplay.cli.output import say
    from selfplay.configuration import check_choice
    from selfplay.fleet.fleet import check_launcher
    from selfplay.telemetry import Monitor
    from selfplay.telemetry.logs import FORMATS, LibraryLogs, stderr_log
    from selfplay.telemetry.tracing import tracing

    check_choice("--log-format", options.log_format, FORMATS)
    log = stderr_log(run=str(run), role=role, id=id) if options.log_format == "json" else None
    monitor = Monitor(role=role, id=id, run=str(run), log=log)

    def tell(text: str) -> None:
        if log is None:
            say(text, err=True)
        else:
            monitor.event("message", text, level="warning")

    with contextlib.ExitStack() as stack:
        stack.callback(monitor.close)
        stack.enter_context(tracing(role, lambda: monitor.names, tell))
        if log is not None:
            stack.enter_context(LibraryLogs(log))
        try:
            check_launcher(os.environ)
            if options.metrics_port is not None:
                monitor.serve(options.metrics_port, options.metrics_host)
            yield monitor
        except SelfplayError as error:
            if log is None:
                raise
            monitor.event("error", str(error), level="error", hint=error.hint)
            raise typer.Exit(error.exit_code) from error
