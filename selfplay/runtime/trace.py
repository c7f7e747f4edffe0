"""Profiling: a trace of a few chunks of self-play and of everything between them."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

WARM_UP_CHUNKS = 4
"""Programs are compiled in these, and integers calibrated."""

TRACED_CHUNKS = 2
_PERFETTO = "perfetto_trace.json.gz"


class Trace:
    """Writes one trace per process, in the format of TensorBoard and Perfetto.

    It starts with a chunk after the warm-up and ends when a later chunk is about to start, so it
    includes the work between chunks: updates and the storing of matches.

    Attributes:
        file: the trace for Perfetto; None before it is written.
        warmed_up: returns whether everything that the trace should include has been compiled.
    """

    def __init__(
        self,
        directory: Path,
        say: Callable[[str], None],
        *,
        warm_up_chunks: int = WARM_UP_CHUNKS,
    ) -> None:
        """Does not start the trace yet.

        Args:
            directory: where TensorBoard looks; the trace goes into `plugins/profile` below it.
            say: shows where the trace is and how to look at it.
            warm_up_chunks: number of chunks before the trace may start.
        """
        self.file: Path | None = None
        self.warmed_up: Callable[[], bool] = lambda: True
        self._directory = directory
        self._say = say
        self._warm_up_chunks = warm_up_chunks
        self._chunks = self._traced = 0
        self._running = False
        self._ended = False

    def step(self) -> None:
        """Call it before every chunk."""
        if self._running:
            if self._traced == TRACED_CHUNKS:
                self.close()
            self._traced += 1
        elif not self._ended:
            if self._chunks >= self._warm_up_chunks and self.warmed_up():
                self._begin()
            self._chunks += 1

    def _begin(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        options: Any = jax.profiler.ProfileOptions()
        # Python's own calls would fill the trace.
        options.python_tracer_level = 0
        jax.profiler.start_trace(
            str(self._directory), create_perfetto_trace=True, profiler_options=options
        )
        self._running = True
        self._traced = 1

    def close(self) -> None:
        """Ends the trace, if one has begun, and says where it is."""
        if self._ended:
            return
        self._ended = True
        if not self._running:
            self._say("no trace was written: the process ended before it was warm")
            return
        jax.profiler.stop_trace()
        self._running = False
        self.file = max(self._directory.glob(f"plugins/profile/*/{_PERFETTO}"))
        self._say(
            f"trace of {self._traced} chunks: open {self.file} at https://ui.perfetto.dev, or "
            f"tensorboard --logdir {self._directory} (pip install tensorboard xprof)"
        )


@contextlib.contextmanager
def traced(directory: Path | None, say: Callable[[str], None]) -> Iterator[Trace | None]:
    """Yields a trace for `Chunks.trace`, and ends it; yields None if no trace is wanted.

    Args:
        directory: see `Trace`; None for no trace.
        say: likewise.
    """
    trace = None if directory is None else Trace(directory, say)
    try:
        yield trace
    finally:
        if trace is not None:
            trace.close()
