"""The spans of a trainer: updates between two checkpoints, and the first update from each file."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy.typing as npt

from selfplay.telemetry import tracing

_MOST_FILES = 1000


class _File(NamedTuple):
    """A file of matches that no update has learnt from yet: where its positions are numbered."""

    traceparent: str
    first: int
    end: int


class UpdateTraces:
    """Makes the spans of one trainer; does nothing where there are no traces.

    A span "train to checkpoint" holds the spans "make updates" and "save checkpoint" up to one
    checkpoint. Each file of matches gets a span "first update" in its own trace, beside the calls
    of "make updates" whose batch was the first to hold one of its positions.
    """

    def __init__(self) -> None:
        """Begins no span."""
        self._interval: tracing.Span | None = None
        self._files: list[_File] = []

    def take(self, end: int, positions: int) -> None:
        """Notes that a file was taken in, in the current span.

        Args:
            end: positions taken in so far, over the whole run.
            positions: of the file; the newest ones.
        """
        if tracing.on() and positions:
            file = _File(tracing.current().traceparent, end - positions, end)
            self._files = [*self._files[1 - _MOST_FILES :], file]

    @contextlib.contextmanager
    def updates(
        self, first: int, count: int, drawn: Callable[[int], npt.NDArray[Any]]
    ) -> Iterator[None]:
        """Makes spans of the updates that are made meanwhile.

        Args:
            first: updates made before.
            count: at least 1.
            drawn: returns which positions the batch after so many updates holds, by their numbers.
        """
        if not tracing.on():
            yield
            return
        begun = time.time_ns()
        with self._between().current(), tracing.span("make updates", updates=count) as made:
            yield
            made.set(update=first + count)
        for update in range(first, first + count):
            if not self._files:
                break
            numbers = drawn(update)
            used = [f for f in self._files if ((numbers >= f.first) & (numbers < f.end)).any()]
            self._files = [file for file in self._files if file not in used]
            for file in used:
                tracing.begin(
                    "first update",
                    parent=file.traceparent,
                    links=[made.traceparent],
                    start_ns=begun,
                    update=update + 1,
                ).end()

    @contextlib.contextmanager
    def saving(self, update: int) -> Iterator[str]:
        """Yields the `traceparent` that a checkpoint is to hold, "" for none."""
        if not tracing.on():
            yield ""
            return
        between = self._between()
        with between.current(), tracing.span("save checkpoint", checkpoint=update) as saved:
            yield saved.traceparent
        between.set(checkpoint=update)
        between.end()
        self._interval = None

    def _between(self) -> tracing.Span:
        if self._interval is None:
            self._interval = tracing.begin("train to checkpoint")
        return self._interval
