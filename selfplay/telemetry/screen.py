"""Shows progress: a live screen on a terminal, lines of text elsewhere."""

import time
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from selfplay.telemetry import words
from selfplay.telemetry.metrics import METRICS, line_parts, rows
from selfplay.telemetry.progress import Progress


@runtime_checkable
class Reporter(Protocol):
    """Shows the progress of training."""

    def update(self, progress: Progress) -> None:
        """Shows the latest numbers; cheap enough to be called after every iteration."""

    def message(self, text: str) -> None:
        """Shows a permanent line."""

    def close(self) -> None:
        """Shows the last numbers and restores the terminal; the last call."""


def make_reporter(console: Console | None = None, *, interval_seconds: float = 10.0) -> Reporter:
    """Returns a live screen if `console` is a terminal, else a reporter of text lines.

    Args:
        console: where to write; standard output by default.
        interval_seconds: between lines of text.
    """
    console = console or Console()
    if console.is_terminal and not console.is_dumb_terminal:
        return ScreenReporter(console)
    return PlainReporter(
        lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True),
        interval_seconds=interval_seconds,
    )


class ScreenReporter:
    """A live screen of numbers, updated in place."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Shows nothing before the first `update`.

        Args:
            console: a terminal.
            clock: seconds, for tests.
        """
        self._clock = clock
        self._shown_at = float("-inf")
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._progress: Progress | None = None

    def update(self, progress: Progress) -> None:
        """Shows the latest numbers, at most four times a second."""
        self._progress = progress
        if self._clock() - self._shown_at < 0.25:
            return
        if not self._live.is_started:
            self._live.start()
        self._shown_at = self._clock()
        self._live.update(render(progress), refresh=True)

    def message(self, text: str) -> None:
        """Shows a line above the screen."""
        self._live.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leaves the last numbers on the screen and restores the terminal."""
        if self._progress is not None:
            self._live.update(render(self._progress))
        self._live.stop()


class PlainReporter:
    """One line of numbers per interval, for logs."""

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        interval_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Writes nothing before the first `update`.

        Args:
            write: takes one line, without its end.
            interval_seconds: between lines.
            clock: seconds, for tests.
        """
        self._write = write
        self._interval = interval_seconds
        self._clock = clock
        self._shown_at = float("-inf")
        self._pending: Progress | None = None

    def update(self, progress: Progress) -> None:
        """Writes a line if the interval has passed since the last one."""
        self._pending = progress
        if self._clock() - self._shown_at >= self._interval:
            self._flush()

    def message(self, text: str) -> None:
        """Writes a line now."""
        self._write(text)

    def close(self) -> None:
        """Writes the last numbers unless they are written already."""
        self._flush()

    def _flush(self) -> None:
        if self._pending is not None:
            self._write(plain_line(self._pending))
            self._shown_at = self._clock()
            self._pending = None


def plain_line(progress: Progress) -> str:
    """Returns the most important numbers in one line."""
    parts = [words.duration(progress.elapsed_seconds)]
    if progress.eta_seconds is not None:
        parts.append(f"{words.duration(progress.eta_seconds)} left")
    parts += line_parts(progress.metrics, "trainer")
    parts += [f"evaluating: {progress.evaluation}"] if progress.evaluation else []
    return " | ".join(parts)


def render(progress: Progress) -> RenderableType:
    """Returns the live screen, for 80 columns or more."""
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(style="bold cyan", no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_row("plan", _plan(progress))
    for row, parts in rows(progress.metrics).items():
        grid.add_row(row, _Parts(parts))
    grid.add_row("strength", _strength(progress))
    if mistakes := METRICS["mistakes"].parts(progress.metrics.get("mistakes")):
        grid.add_row("mistakes", _Parts(mistakes[:1], mistakes[1:]))
    if suite := METRICS["suite"].parts(progress.metrics.get("suite")):
        grid.add_row("suite", _Parts(suite))
    saved = METRICS["checkpoint"].parts(progress.metrics.get("checkpoint"))
    device = [progress.device] if progress.device else []
    grid.add_row("saved", _Parts([*(saved or ["no checkpoint yet"]), *device]))
    return Panel(
        grid,
        title=Text(f"{progress.game} in {progress.run}", overflow="ellipsis", no_wrap=True),
        subtitle="Ctrl-C saves and stops",
        title_align="left",
        subtitle_align="right",
        border_style="cyan",
    )


def _plan(progress: Progress) -> RenderableType:
    elapsed = words.duration(progress.elapsed_seconds)
    if progress.planned_fraction is None:
        return Text(f"{elapsed}, until stopped")
    parts = [words.percent(progress.planned_fraction), elapsed]
    if progress.eta_seconds is not None:
        parts.append(f"{words.duration(progress.eta_seconds)} left")
    row = Table.grid(padding=(0, 2), expand=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    row.add_row(ProgressBar(total=1.0, completed=progress.planned_fraction), " · ".join(parts))
    return row


def _strength(progress: Progress) -> RenderableType:
    results = progress.metrics.get("strength") or ()
    table = Table.grid(padding=(0, 2))
    for one in results:
        table.add_row(one.opponent, words.score(one), f"update {one.update:,}")
    if progress.evaluation:
        return Group(*([table] if results else []), Text(progress.evaluation))
    return table if results else Text("not measured yet")


class _Parts:
    """Lines of parts; a line that is too long is broken between two parts."""

    def __init__(self, *lines: list[str]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        for parts in self._lines:
            line = ""
            for part in parts:
                longer = f"{line} · {part}" if line else part
                if line and len(longer) > options.max_width:
                    yield Text(line)
                    longer = part
                line = longer
            if line:
                yield Text(line)
