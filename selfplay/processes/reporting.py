"""Where the news of a training process goes: screen, heartbeat, TensorBoard."""

import collections
import contextlib
from collections.abc import Mapping, Sequence

import numpy as np

from selfplay.processes.meter import Meter
from selfplay.records import MatchRecord
from selfplay.run import RunDirectory, remove_heartbeat, write_heartbeat
from selfplay.run.storage import storage_errors
from selfplay.telemetry import Progress, Reporter, TensorBoardWriter

_HEARTBEAT_SECONDS = 5.0
_TENSORBOARD_SECONDS = 10.0
_RECENT_MATCHES = 400
_BEAT_FIELDS = (
    "update",
    "matches",
    "positions",
    "elapsed_seconds",
    "matches_per_second",
    "reuse",
    "window_positions",
)


class News:
    """Tells everybody who listens, each as often as it needs to hear."""

    def __init__(
        self, run: RunDirectory, worker: str, reporter: Reporter, *, resume_at: int | None
    ) -> None:
        """Opens the event files.

        Args:
            run: gets heartbeats and event files.
            worker: the id in the heartbeats.
            reporter: the screen or log.
            resume_at: update of the checkpoint this session goes on from, if any.
        """
        self._run = run
        self._worker = worker
        self._reporter = reporter
        with storage_errors(run.tensorboard_path):
            self._board = TensorBoardWriter(run.tensorboard_path, resume_at=resume_at)
        self._next_beat = 0.0
        self._next_point = 0.0

    def tell(self, progress: Progress, meter: Meter) -> None:
        """Shows `progress`; writes heartbeat and event files if it is time."""
        self._reporter.update(progress)
        now = meter.elapsed
        if now >= self._next_beat:
            fields = {name: getattr(progress, name) for name in _BEAT_FIELDS}
            fields["checkpoint"] = progress.last_checkpoint
            write_heartbeat(self._run.path, "trainer", self._worker, fields)
            self._next_beat = now + _HEARTBEAT_SECONDS
        if now >= self._next_point and progress.losses:
            with storage_errors(self._run.tensorboard_path):
                self._board.write(progress)
            self._next_point = now + _TENSORBOARD_SECONDS

    def close(self, progress: Progress) -> None:
        """Writes the last point and says that this process has ended."""
        self._reporter.update(progress)
        remove_heartbeat(self._run.path, "trainer", self._worker)
        with storage_errors(self._run.tensorboard_path), contextlib.closing(self._board):
            if progress.losses:
                self._board.write(progress)


class RecentMatches:
    """What the newest matches were like."""

    def __init__(self) -> None:
        """Starts with none."""
        self._matches: collections.deque[tuple[int, float]] = collections.deque(
            maxlen=_RECENT_MATCHES
        )

    def add(self, matches: Sequence[MatchRecord]) -> None:
        """Takes in matches, the newest last."""
        self._matches.extend((match.plies, match.returns[0]) for match in matches)

    @property
    def mean_length(self) -> float | None:
        """Mean plies of a match, None before the first."""
        return float(np.mean([plies for plies, _ in self._matches])) if self._matches else None

    @property
    def results(self) -> Mapping[str, float]:
        """Shares of "first" and "second" player wins and of "draw"; empty before the first."""
        if not self._matches:
            return {}
        results = np.array([result for _, result in self._matches])
        return {
            "first": float((results > 0).mean()),
            "draw": float((results == 0).mean()),
            "second": float((results < 0).mean()),
        }
