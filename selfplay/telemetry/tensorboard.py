"""TensorBoard event files: written synchronously, and read back for plots."""

import dataclasses
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from selfplay.telemetry.progress import Progress

SCALARS: dict[str, str] = {
    "learner/learning_rate": "learning rate of the update",
    "learner/gradient_norm": "global norm of the gradient, before clipping",
    "replay/reuse": "training samples drawn per recorded position, so far",
    "replay/window_positions": "positions that may be sampled",
    "replay/window_age_updates": "updates since they were made, on average",
    "rollout/matches": "matches finished, so far",
    "rollout/positions": "positions recorded, so far",
    "rollout/mean_length": "plies per match, of recent ones",
    "rate/matches_per_second": "finished matches per second",
    "rate/positions_per_second": "recorded positions per second",
    "rate/simulations_per_second": "network evaluations in searches per second",
    "rate/updates_per_second": "updates per second",
    "time/elapsed_seconds": "seconds of training, over all sessions",
    "workers/data_age_seconds": "seconds since the newest matches of another process came",
    "workers/staleness_updates": "updates by which the weights of the worst worker are behind",
    "workers/backlog_positions": "positions taken in whose updates are not made yet",
    "workers/damaged_files": "files of matches that could not be used, so far",
    "time/waiting_seconds": "seconds spent waiting for matches, in this session",
}
"""Scalars that are always written when known; see also `SCALAR_GROUPS`."""

SCALAR_GROUPS: dict[str, str] = {
    "loss/NAME": "each part of the loss; loss/total is their weighted sum",
    "results/NAME": "share of recent matches: first, draw, second, truncated",
    "left_out/REASON": "matches not taken in, so far: stale, foreign",
    "time_share/NAME": "share of the wall time: play, train, evaluate, other",
    "strength/OPPONENT": "score in [0, 1] against an opponent, at the update that played",
    "strength_low/OPPONENT": "lower end of its 95 % interval",
    "strength_high/OPPONENT": "upper end of it",
    "mistakes/PLIES": "share of solved positions with a mistake: all, or by plies, such as 0-2",
    "mistakes_low/PLIES": "lower end of its 95 % interval",
    "mistakes_high/PLIES": "upper end of it",
    "mistakes_raw/PLIES": "the same of the network's likeliest move, without search",
}
"""Families of scalars, one per name."""


MAX_FILE_BYTES = 1 << 16
"""An event file that has grown to this size is followed by another: of a run elsewhere the file
that grows is uploaded again and again, and old ones can be removed."""


_FRAME_BYTES = 16
"""Of a record, beside its data: the length and two checksums."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One value of a scalar: at which update, and when (seconds since 1970)."""

    step: int
    time: float
    value: float


class TensorBoardWriter:
    """Writes a `Progress` as scalars, at most once per update.

    Writes in the calling thread and syncs each time, so that a kill loses nothing and a full disk
    is met where it can be reported.
    """

    def __init__(
        self,
        directory: Path,
        *,
        resume_at: int | None = None,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        """Opens a new event file; never touches an older one.

        Args:
            directory: of the event files.
            max_file_bytes: a file that has so many is followed by another.
            resume_at: the update that training goes on from; what earlier sessions wrote for
                later updates is lost work, and TensorBoard is told to forget it.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._max_file_bytes = max_file_bytes
        self._open()
        self._last_update = -1
        self._strength: set[tuple[str, int]] = set()
        self._mistakes_update = -1
        if resume_at is not None:
            # Steps from this one on were written by a session that lost them.
            start = SessionLog(status=SessionLog.START)
            self._add(Event(step=resume_at + 1, session_log=start))
            self._last_update = resume_at
        try:
            self._writer.flush()
        except OSError:
            self.close()
            raise

    def _open(self) -> None:
        # TensorBoard names files by the second: the suffix keeps two of a second apart, in order.
        self._writer = EventsWriter(
            str(self._directory / "events"),
            f".{os.getpid()}.{time.time_ns() % 10**9:09d}.selfplay",
        )
        self._file_bytes = 0

    def write(self, progress: Progress) -> None:
        """Writes the numbers of this update, unless they have been."""
        if self._file_bytes >= self._max_file_bytes:
            self.close()
            self._open()
        if progress.update > self._last_update:
            self._last_update = progress.update
            for name, value in _scalars(progress).items():
                self._scalar(name, value, progress.update)
        for one in progress.strength:
            if (one.opponent, one.update) not in self._strength:
                self._strength.add((one.opponent, one.update))
                self._scalar(f"strength/{one.opponent}", one.score, one.update)
                self._scalar(f"strength_low/{one.opponent}", one.low, one.update)
                self._scalar(f"strength_high/{one.opponent}", one.high, one.update)
        self._write_mistakes(progress)
        self._writer.flush()

    def _write_mistakes(self, progress: Progress) -> None:
        newest = max((one.update for one in progress.mistakes), default=-1)
        if newest <= self._mistakes_update:
            return
        self._mistakes_update = newest
        for one in progress.mistakes:
            self._scalar(f"mistakes/{one.plies}", one.share, one.update)
            self._scalar(f"mistakes_low/{one.plies}", one.low, one.update)
            self._scalar(f"mistakes_high/{one.plies}", one.high, one.update)
            if one.raw_share is not None:
                self._scalar(f"mistakes_raw/{one.plies}", one.raw_share, one.update)

    def close(self) -> None:
        """Closes the file, also where the disk refuses the last of it."""
        try:
            self._writer.flush()
        finally:
            # Closed directly: `EventsWriter.close` would leave it open where its flush fails.
            self._writer._py_recordio_writer.close()

    def _scalar(self, name: str, value: float, step: int) -> None:
        # Not `tensorboardX.summary.scalar`: it would turn the colon of "mcts:100" into a blank.
        summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        self._add(Event(step=step, summary=summary))

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._file_bytes += _FRAME_BYTES + event.ByteSize()
        self._writer.write_event(event)


def read_scalars(directory: Path) -> dict[str, list[Point]]:
    """Returns every scalar of the event files in a directory, by ascending step.

    As in TensorBoard, a session that resumed at an earlier step replaces what came after it. The
    half-written last record of a killed session is left out.
    """
    series: dict[str, dict[int, Point]] = {}
    for file in sorted(directory.glob("events.out.tfevents.*")):
        for event in _events(file.read_bytes()):
            if event.HasField("session_log") and event.session_log.status == SessionLog.START:
                for points in series.values():
                    for step in [step for step in points if step >= event.step]:
                        del points[step]
            for value in event.summary.value:
                point = Point(step=event.step, time=event.wall_time, value=value.simple_value)
                series.setdefault(value.tag, {})[event.step] = point
    return {
        name: [points[step] for step in sorted(points)] for name, points in series.items() if points
    }


def _scalars(progress: Progress) -> dict[str, float]:
    named: dict[str, float | None] = {
        name: getattr(progress, name.partition("/")[2]) for name in SCALARS
    }
    named |= {f"loss/{name}": value for name, value in progress.losses.items()}
    named |= {f"results/{name}": value for name, value in progress.results.items()}
    named["results/truncated"] = progress.truncated_share
    named |= {f"left_out/{name}": float(value) for name, value in progress.left_out.items()}
    named |= {f"time_share/{name}": value for name, value in progress.phases.items()}
    return {name: float(value) for name, value in named.items() if value is not None}


def _events(data: bytes) -> Iterator[Event]:
    """Yields the events of one file: per record its length, a checksum, the data, a checksum."""
    start = 0
    while start + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        end = start + 12 + length
        if end + 4 > len(data):
            return
        yield Event.FromString(data[start + 12 : end])
        start = end + 4
