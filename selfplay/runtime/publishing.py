"""Publishes the progress of a process: on the screen, in heartbeats, metrics and TensorBoard."""

import collections
import contextlib
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from selfplay.errors import StorageError
from selfplay.records import MatchRecord
from selfplay.records.match import RESIGNED
from selfplay.run import (
    RunDirectory,
    is_asked_to_stop,
    keep_usage,
    keep_usage_of_killed,
    remove_heartbeat,
    withdraw_request,
    write_heartbeat,
)
from selfplay.run.pace import USUAL_BEAT_SECONDS
from selfplay.run.usage import LIVED, STARTED
from selfplay.runtime.compilations import Compilations, watch_compilations
from selfplay.runtime.meter import Meter
from selfplay.store.files import storage_errors
from selfplay.telemetry import Monitor, Progress, Reporter, TensorBoardWriter
from selfplay.telemetry.metrics import heartbeat_values

_HEARTBEAT_SECONDS = USUAL_BEAT_SECONDS
_LONGEST_SILENCE_SECONDS = 20.0
_LEAVING_SECONDS = 2.0
_TENSORBOARD_SECONDS = 10.0
_UPLOAD_SECONDS = 30.0
_RECENT_MATCHES = 400


class HeartbeatWriter:
    """Writes the heartbeat of a process to the run, and passes its content to the monitor.

    A heartbeat that cannot be written does not end the process: the next one may succeed. While JAX
    compiles, the main thread writes none: another thread then repeats the last one, as long as the
    monitor finds the process healthy. That thread also looks whether somebody has asked the process
    to end (`selfplay.run.stop_requests`).

    Attributes:
        monitor: gets what heartbeats say.
        compilations: of this process, since this writer was made.
        session: in every heartbeat, for requests to end; no other process has it. None if there is
            nothing to call.
    """

    def __init__(
        self,
        run: RunDirectory,
        monitor: Monitor,
        say: Callable[[str], None] = lambda text: None,
        *,
        stop: Callable[[], None] | None = None,
        keeps_usage: bool = True,
        processes: int = 1,
    ) -> None:
        """Writes nothing yet.

        Args:
            run: gets heartbeats.
            monitor: gets the same; it knows role and id.
            say: shows a message to people.
            stop: asks the process to end; called from another thread, once at most, and not before
                the first heartbeat. None for a process that only signals can end.
            keeps_usage: whether the run keeps how long the process ran.
            processes: how many processes this one writes for; the run counts the time of each.
        """
        self._run = run
        self.monitor = monitor
        self.compilations = Compilations()
        self.session = None if stop is None else uuid.uuid4().hex
        self._say = say
        self._stop = stop
        self._asked = False
        self._errors = 0
        self._started = int(time.time() * 1000)
        self._started_at = time.monotonic()
        self._keeps_usage = keeps_usage
        self._processes = processes
        self._took_over = False
        self._last: dict[str, Any] = {}
        self._written_at = time.monotonic()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        watch_compilations(monitor)
        # A weak reference, so that the thread ends with the last user of this object.
        self._keeper = threading.Thread(
            target=_keep, args=(weakref.ref(self), self._closing), name="heartbeat", daemon=True
        )
        self._keeper.start()

    def beat(self, metrics: Mapping[str, Any], **facts: Any) -> None:
        """Writes a heartbeat.

        Args:
            metrics: values by key of `METRICS`; None or missing where not known.
            facts: further content of the heartbeat; anything JSON can hold.
        """
        if problem := self.compilations.new_problem():
            self._say(problem)
        self.monitor.update({**metrics, "store_errors": self._errors})
        health = self.monitor.health
        self._write(
            {
                **heartbeat_values(metrics, self.monitor.role),
                **facts,
                **self.compilations.fields(),
                "session": self.session,
                "state": health.state,
                "ready": health.ready,
            }
        )

    def announce(self, **facts: Any) -> None:
        """Writes the last heartbeat again at once, with some facts changed.

        Args:
            facts: content of heartbeats.
        """
        if self._last:
            self._write({**self._last, **facts})

    def repeat(self) -> None:
        """Writes the last heartbeat again if it is old and the process compiles."""
        if not self._last:
            # Nothing to repeat: another process of this trainer writes its heartbeat.
            return
        health = self.monitor.health
        silent = time.monotonic() - self._written_at
        if self.monitor.compiling_seconds and health.healthy and silent > _LONGEST_SILENCE_SECONDS:
            self._write({**self._last, "state": health.state, "ready": health.ready})

    def look_for_request(self) -> None:
        """Asks this process to end if somebody wants that, and says so."""
        if self._asked or not self._last or self.session is None or self._stop is None:
            return
        role, id = self.monitor.role, self.monitor.id
        try:
            self._asked = is_asked_to_stop(self._run.store, role, id, self.session)
        except StorageError:
            return  # The heartbeats say that the store is out of reach.
        if self._asked:
            self._say("stopping: asked to, through the run")
            self._stop()

    def _write(self, spoken: dict[str, Any]) -> None:
        with self._lock:
            if self._closing.is_set():
                return
            self._last, self._written_at = spoken, time.monotonic()
            try:
                role, id = self.monitor.role, self.monitor.id
                if not self._took_over:
                    keep_usage_of_killed(self._run.store, role, id)
                    self._took_over = True
                usage = {STARTED: self._started, LIVED: self._lived_seconds}
                write_heartbeat(self._run.store, role, id, {**spoken, **usage})
            except StorageError as error:
                self._errors += 1
                self.monitor.event("heartbeat_failed", str(error), level="warning")

    @property
    def _lived_seconds(self) -> float:
        return round(self._processes * (time.monotonic() - self._started_at), 1)

    @property
    def pause_seconds(self) -> float:
        """Seconds from one look for requests to the next: as between heartbeats."""
        return float(self._last.get("pause_seconds", _HEARTBEAT_SECONDS))

    def stop(self) -> None:
        """Removes the heartbeat, because the process ends normally; keeps how long it ran."""
        self._closing.set()
        # Not longer: a store that does not answer must not delay the end.
        self._keeper.join(_LEAVING_SECONDS)
        with contextlib.suppress(StorageError):
            role, id = self.monitor.role, self.monitor.id
            if self._took_over and self._keeps_usage:
                keep_usage(self._run.store, role, id, self._started, self._lived_seconds)
            remove_heartbeat(self._run.store, role, id)
            if self._asked:
                withdraw_request(self._run.store, self.monitor.role, self.monitor.id)


def _keep(heartbeat: "weakref.ref[HeartbeatWriter]", closing: threading.Event) -> None:
    pause = _HEARTBEAT_SECONDS
    while not closing.wait(pause):
        if (one := heartbeat()) is None:
            return
        pause = one.pause_seconds
        one.repeat()
        one.look_for_request()
        del one


class ProgressPublisher:
    """Publishes the progress of a trainer: screen, heartbeat, monitor and event files.

    Each of them has its own interval.
    """

    def __init__(
        self,
        run: RunDirectory,
        heartbeat: HeartbeatWriter,
        reporter: Reporter,
        *,
        resume_at: int | None,
    ) -> None:
        """Opens the event files.

        Args:
            run: gets event files.
            heartbeat: writes heartbeats.
            reporter: the screen or log.
            resume_at: update of the checkpoint that this session continues from, if any.
        """
        self._run = run
        self._heartbeat = heartbeat
        self._reporter = reporter
        with storage_errors(run.tensorboard_path):
            self._board = TensorBoardWriter(run.tensorboard_path, resume_at=resume_at)
        self._next_beat = 0.0
        self._next_point = self._next_upload = 0.0
        self._suspends = False

    def tell(
        self, progress: Progress, meter: Meter, *, suspends: bool = False, workers: int = 0
    ) -> None:
        """Shows `progress`; writes heartbeat and event files when they are due.

        Args:
            progress: the snapshot.
            meter: measures the time.
            suspends: whether workers should pause now; a change is written at once.
            workers: how many workers have stored matches lately; the more, the less often each of
                them asks the store.
        """
        self._reporter.update(progress)
        now = meter.elapsed
        self._heartbeat.monitor.state(progress.state, ready=True)
        if now >= self._next_beat or suspends != self._suspends:
            self._suspends = suspends
            self._heartbeat.beat(progress.metrics, suspends=suspends, workers=workers)
            self._next_beat = now + _HEARTBEAT_SECONDS
        if now >= self._next_point and progress.metrics.get("losses"):
            with storage_errors(self._run.tensorboard_path):
                self._board.write(progress)
                if now >= self._next_upload:
                    self._next_upload = now + _UPLOAD_SECONDS
                    self._run.publish_files("tensorboard")
            self._next_point = now + _TENSORBOARD_SECONDS

    def close(self, progress: Progress) -> None:
        """Writes the last point and removes the heartbeat."""
        self._reporter.update(progress)
        self._heartbeat.stop()
        with storage_errors(self._run.tensorboard_path):
            with contextlib.closing(self._board):
                if progress.metrics.get("losses"):
                    self._board.write(progress)
            self._run.publish_files("tensorboard")


class RecentMatches:
    """Length and results of the newest matches."""

    def __init__(self) -> None:
        """Starts with none."""
        self._matches: collections.deque[tuple[int, float, bool, bool]] = collections.deque(
            maxlen=_RECENT_MATCHES
        )

    def add(self, matches: Sequence[MatchRecord]) -> None:
        """Takes in matches, the newest last."""
        self._matches.extend(
            (match.plies, match.returns[0], match.truncated, match.ending == RESIGNED)
            for match in matches
        )

    @property
    def count(self) -> int:
        """How many matches the numbers below are of."""
        return len(self._matches)

    @property
    def mean_length(self) -> float | None:
        """Mean plies of a match, None before the first."""
        return float(np.mean([plies for plies, *_ in self._matches])) if self._matches else None

    @property
    def truncated_share(self) -> float | None:
        """Share of matches that `max_plies` ended, None before the first."""
        return float(np.mean([cut for _, _, cut, _ in self._matches])) if self._matches else None

    @property
    def resigned_share(self) -> float | None:
        """Share of matches that a player gave up, None before the first."""
        return float(np.mean([gave_up for *_, gave_up in self._matches])) if self._matches else None

    @property
    def results(self) -> Mapping[str, float]:
        """Shares of "first" and "second" player wins and of "draw"; empty before the first."""
        if not self._matches:
            return {}
        results = np.array([result for _, result, *_ in self._matches])
        return {
            "first": float((results > 0).mean()),
            "draw": float((results == 0).mean()),
            "second": float((results < 0).mean()),
        }

    def metrics(self) -> dict[str, Any]:
        """Returns the metrics of recent matches; checkpoints hold them too."""
        return {
            "recent_matches": self.count,
            "mean_length": self.mean_length,
            "results": dict(self.results),
            "truncated_share": self.truncated_share,
            "resigned_share": self.resigned_share,
        }
