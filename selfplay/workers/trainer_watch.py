"""Watches the trainer of a run: fetches its newest weights and reads its heartbeat."""

import dataclasses
import random
import threading
import time
from collections.abc import Callable

from selfplay.arena import load_weights
from selfplay.errors import CheckpointError, RunError, SelfplayError
from selfplay.networks import Network, Weights
from selfplay.run import RunDirectory, store_clock_offset
from selfplay.run.pace import look_seconds, spread
from selfplay.settings import Config
from selfplay.telemetry import tracing
from selfplay.workers.trainer_heartbeat import TrainerHeartbeat

_HEARTBEAT_SECONDS = 3.0
_SUSPENSION_SECONDS = 0.5
_SUSPENSION_LASTS_SECONDS = 60.0
_LOOK_SECONDS = 1.0
_SHORTEST_SECONDS = 0.05
_TRUSTED_SECONDS = 30.0
_LONGEST_LOOK_SECONDS = 60.0
_LEAVING_SECONDS = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """The parts of a checkpoint that a player needs.

    Attributes:
        update: number of updates.
        played_update: number of updates behind `weights`: smaller than `update` if a gate has not
            accepted the newest weights.
        weights: on this process's first device.
        config: the settings in force when it was written.
        traceparent: names the span of a trace that wrote it; "" for none.
    """

    update: int
    played_update: int
    weights: Weights
    config: Config
    traceparent: str = ""


def load_published(
    run: RunDirectory, update: int, network: Network, *, accepted: bool = False
) -> Published:
    """Returns a checkpoint of a run.

    Args:
        run: the run.
        update: which checkpoint.
        network: what the weights are for.
        accepted: whether the weights are wanted that passed the gate last, where there is one
            (`trainer.gate`), and not the newest.

    Raises:
        CheckpointError: it is missing, damaged, or of another network.
        RunError: it was written for other rules.
    """
    metadata = run.checkpoints.metadata(update)
    if metadata.get("fingerprint") != run.fingerprint:
        raise RunError(f"checkpoint {update} of {run.url} was written for other rules")
    settings = metadata.get("config")
    gate = metadata.get("gate") if accepted else None
    item = "weights" if gate is None else "accepted_weights"
    return Published(
        update=update,
        played_update=update if gate is None else int(gate["accepted"]),
        weights=load_weights(run.checkpoints, update, network, item=item),
        config=run.config if settings is None else Config.from_dict(settings),
        traceparent=str(metadata.get("traceparent", "")),
    )


class TrainerWatch:
    """Fetches new checkpoints and reads the trainer's heartbeat, in a thread, while matches go on.

    Attributes:
        newest: the newest checkpoint that could be read.
        problem: the reason that a newer one could not be read, "" if there is none.
        heard_at: when the trainer was last heard of, by the monotonic clock.
        published_at: update of a new checkpoint and when it was complete, in seconds since 1970 by
            the clock of this host (None if that cannot be known); None before the first. It is set
            a little later than `newest`.
        workers: how many workers the trainer gets matches of, 0 if that is not known.
    """

    def __init__(
        self,
        run: RunDirectory,
        network: Network,
        newest: Published,
        *,
        id: str,
        stored_positions: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Asks nothing yet.

        Args:
            run: the run.
            network: the network of the weights.
            newest: the checkpoint in use.
            id: of this worker; its heartbeats show the time in the store.
            stored_positions: returns how many positions this process has stored.
            clock: returns seconds.
        """
        self.newest = newest
        self.problem = ""
        self.heard_at = clock()
        self.published_at: tuple[int, float | None] | None = None
        self.workers = 0
        self._id = id
        self._clock = clock
        self._trainer = TrainerHeartbeat(run.store, clock)
        self._run = run
        self._network = network
        self._stored_positions = stored_positions
        self._backlog = 0
        self._stored_then = 0
        self._beat: float | None = None
        self._told: int | None = None
        self._sought: int | None = None
        self._suspended_at: float | None = None
        self._look_at = self._listen_at = clock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="trainer-watch", daemon=True)

    def start(self) -> None:
        """Starts the thread, which calls `step` again and again."""
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Positions the trainer is behind, as far as is known.

        It is the trainer's last figure plus the positions that this process has stored since, so it
        grows while the trainer is silent.
        """
        return self._backlog + self._stored_positions() - self._stored_then

    @property
    def suspended(self) -> bool:
        """Whether the trainer needs the accelerator alone now."""
        since = self._suspended_at
        return since is not None and self._clock() - since < _SUSPENSION_LASTS_SECONDS

    def close(self) -> None:
        """Asks the thread to end, without waiting."""
        self._closing.set()

    def join(self) -> None:
        """Waits for the end of the thread, for a limited time if the store does not answer.

        A thread that is still inside compiled code when the interpreter ends makes it abort.
        """
        self._thread.join(_LEAVING_SECONDS)

    def step(self) -> None:
        """Asks the store what is due now: for the trainer's heartbeat, for a newer checkpoint.

        The heartbeat names the newest checkpoint, so while it is renewed one request answers both.
        The checkpoints themselves are listed if it names a newer one, now and then in any case, and
        as often as the heartbeat is read if it is not renewed or is of an older selfplay.

        Raises:
            SelfplayError: the store cannot be reached, or a checkpoint cannot be read.
        """
        now = self._clock()
        pause = self._pause()
        if now >= self._listen_at:
            self._listen_at = now + pause
            if not self._listen():
                # Then all heartbeats must be listed.
                self._listen_at = now + max(pause, _HEARTBEAT_SECONDS)
        told = self._told is not None and self._told > self.newest.update
        if now >= self._look_at or (told and self._told != self._sought):
            trusted = self._told is not None and now - self.heard_at < _TRUSTED_SECONDS
            self._look_at = now + (spread(_LONGEST_LOOK_SECONDS) if trusted else pause)
            self._sought = None
            self._look()
            self._sought = self._told

    @property
    def seconds_left(self) -> float:
        """Seconds until something is due."""
        return max(0.0, min(self._listen_at, self._look_at) - self._clock())

    def notice(self) -> None:
        """Has the next `step` look for a checkpoint soon, because the store gave notice of one.

        Not at once: all workers get the notice at the same time.
        """
        within = look_seconds(0.0, self.workers)
        self._look_at = self._clock() + random.uniform(0.0, within)

    def _pause(self) -> float:
        usual = min(self._run.store.poll_seconds, _HEARTBEAT_SECONDS)
        pause = spread(look_seconds(usual, self.workers))
        suspends = self.newest.config.trainer.suspend_workers
        return min(pause, _SUSPENSION_SECONDS) if suspends else pause

    def _follow(self) -> None:
        notices = self._run.checkpoints.listen()
        while not self._closing.is_set():
            try:
                self.step()
                self.problem = ""
                # Not longer: `join` waits for the rest of it.
                if notices.wait(min(max(self.seconds_left, _SHORTEST_SECONDS), _LOOK_SECONDS)):
                    self.notice()
            except CheckpointError as error:
                # It was probably removed meanwhile.
                self.problem = str(error)
                self._look_at = self._clock()
                self._closing.wait(_SUSPENSION_SECONDS)
            except SelfplayError as error:
                self.problem = str(error)
                self._closing.wait(_HEARTBEAT_SECONDS)

    def _look(self) -> None:
        """Fetches a newer checkpoint, if there is one."""
        update = self._run.checkpoints.wait_for_newer(self.newest.update, 0)
        if update is not None:
            begun = time.time_ns()
            self.newest = load_published(self._run, update, self._network, accepted=True)
            parent = self.newest.traceparent
            tracing.begin("load weights", parent=parent, start_ns=begun, checkpoint=update).end()
            self.heard_at = self._clock()
            # Last, because the new weights need not wait for it.
            self.published_at = (update, self._time_of(update))

    def _time_of(self, update: int) -> float | None:
        """Returns when a checkpoint was published, by the clock of this host."""
        published = self._run.checkpoints.published_at(update)
        # Clocks of hosts differ, so timestamps of the store are compared with each other.
        ahead = store_clock_offset(self._run.store, "worker", self._id)
        return None if published is None or ahead is None else published - ahead

    def _listen(self) -> bool:
        """Takes in the trainer's heartbeat; returns whether there is one."""
        beat = self._trainer.read()
        if beat is None:
            self._suspended_at = self._told = None
            return False
        if beat.time == self._beat:
            return True
        # A change shows that it is new, because the clocks of hosts differ.
        if self._beat is not None or beat.alive:
            self.heard_at = self._clock()
        self._beat = beat.time
        self._suspended_at = self._clock() if beat.fields.get("suspends") else None
        self._backlog = int(beat.fields.get("backlog_positions") or 0)
        self._stored_then = self._stored_positions()
        self.workers = int(beat.fields.get("workers") or 0)
        # A trainer that counts its workers also names a new checkpoint at once.
        told = beat.fields.get("newest_checkpoint") if "workers" in beat.fields else None
        self._told = None if told is None else int(told)
        return True
