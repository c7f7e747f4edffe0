"""Writes TensorBoard event files, and reads them back for plots."""

import dataclasses
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selfplay.telemetry.metric import Metric, Reading, readings
from selfplay.telemetry.metrics import METRICS
from selfplay.telemetry.progress import Progress

# tensorboardX is imported where it is needed: it takes the clients of all buckets with it, which
# takes a fifth of a worker's start.

MAX_FILE_BYTES = 1 << 16
"""An event file of this size is closed and followed by another. In a bucket or Redis the open file
is uploaded as a whole each time, so it must stay small; closed ones can also be removed."""


_FRAME_BYTES = 16
"""Bytes of a record besides its data: its length and two checksums."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One value of a scalar: at which update, and when (seconds since 1970)."""

    step: int
    time: float
    value: float


class TensorBoardWriter:
    """Writes a `Progress` as scalars, at most once per update.

    It writes in the calling thread and syncs each time, so a kill loses nothing, and a full disk
    raises an error where it can be reported.
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
            resume_at: the update that training resumes at; TensorBoard then ignores what earlier
                sessions wrote for later updates, because that work is lost.
            max_file_bytes: the size at which a file is followed by another.
        """
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._max_file_bytes = max_file_bytes
        self._open()
        self._last_update = -1
        self._results: set[tuple[str, int]] = set()
        if resume_at is not None:
            # An interrupted session wrote these steps, and they are made again.
            start = SessionLog(status=SessionLog.START)
            self._add(Event(step=resume_at + 1, session_log=start))
            self._last_update = resume_at
        try:
            self._writer.flush()
        except OSError:
            self.close()
            raise

    def _open(self) -> None:
        from tensorboardX.event_file_writer import EventsWriter

        # TensorBoard names files by the second; the suffix distinguishes and orders two in one
        # second.
        self._writer = EventsWriter(
            str(self._directory / "events"),
            f".{os.getpid()}.{time.time_ns() % 10**9:09d}.selfplay",
        )
        self._file_bytes = 0

    def write(self, progress: Progress) -> None:
        """Writes the numbers of this update, each once."""
        if self._file_bytes >= self._max_file_bytes:
            self.close()
            self._open()
        is_new = progress.update > self._last_update
        self._last_update = max(self._last_update, progress.update)
        for metric in METRICS.values():
            if not metric.tensorboard_tag:
                continue
            for one in readings(progress.metrics.get(metric.key)):
                tag = _tag(metric, one)
                if one.update is None:
                    if is_new:
                        self._scalar(tag, one.number, progress.update)
                elif (tag, one.update) not in self._results:
                    # A result belongs to the update that was measured, whenever it is known.
                    self._results.add((tag, one.update))
                    self._scalar(tag, one.number, one.update)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file, even if the disk refuses its last bytes."""
        try:
            self._writer.flush()
        finally:
            # Closed directly: `EventsWriter.close` would leave it open where its flush fails.
            self._writer._py_recordio_writer.close()

    def _scalar(self, name: str, value: float, step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        # Not `tensorboardX.summary.scalar`: it would turn the colon of "mcts:100" into a blank.
        summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        self._add(Event(step=step, summary=summary))

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        self._file_bytes += _FRAME_BYTES + event.ByteSize()
        self._writer.write_event(event)


def read_scalars(directory: Path) -> dict[str, list[Point]]:
    """Returns every scalar of the event files in a directory, by ascending step.

    As in TensorBoard, a session that resumed at an earlier step replaces all later points. The
    half-written last record of a killed session is left out.
    """
    from tensorboardX.proto.event_pb2 import SessionLog

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


def _tag(metric: Metric, reading: Reading) -> str:
    tag = metric.tensorboard_tag + (f"_{reading.part}" if reading.part else "")
    return f"{tag}/{reading.name}" if reading.name else tag


def _events(data: bytes) -> Iterator[Any]:
    """Yields the events of one file: per record its length, a checksum, the data, a checksum."""
    from tensorboardX.proto.event_pb2 import Event

    start = 0
    while start + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        end = start + 12 + length
        if end + 4 > len(data):
            return
        yield Event.FromString(data[start + 12 : end])
        start = end + 4
