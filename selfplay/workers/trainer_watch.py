"""Watches the trainer of a run: fetches its newest weights and reads its heartbeat."""

import dataclasses
import threading
import time
from collections.abc import Callable

from selfplay.arena import load_weights
from selfplay.errors import CheckpointError, RunError, SelfplayError
from selfplay.networks import Network, Weights
from selfplay.run import RunDirectory, store_clock_offset
from selfplay.settings import Config
from selfplay.workers.trainer_heartbeat import TrainerHeartbeat

_HEARTBEAT_SECONDS = 3.0
_SUSPENSION_SECONDS = 0.5
_SUSPENSION_LASTS_SECONDS = 60.0
_LOOK_SECONDS = 1.0
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
    """

    update: int
    played_update: int
    weights: Weights
    config: Config


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
    )


class TrainerWatch:
    """A thread that fetches new checkpoints and reads the trainer's heartbeat, while matches go on.

    Attributes:
        newest: the newest checkpoint that could be read.
        problem: the reason that a newer one could not be read, "" if there is none.
        heard_at: when the trainer was last heard of, by the monotonic clock.
        published_at: update of a new checkpoint and when it was complete, in seconds since 1970 by
            the clock of this host (None if that cannot be known); None before the first. It is set
            a little later than `newest`.
    """

    def __init__(
        self,
        run: RunDirectory,
        network: Network,
        newest: Published,
        *,
        id: str,
        stored_positions: Callable[[], int] = lambda: 0,
    ) -> None:
        """Starts the thread.

        Args:
            run: the run.
            network: the network of the weights.
            newest: the checkpoint in use.
            id: of this worker; its heartbeats show the time in the store.
            stored_positions: returns how many positions this process has stored.
        """
        self.newest = newest
        self.problem = ""
        self.heard_at = time.monotonic()
        self.published_at: tuple[int, float | None] | None = None
        self._id = id
        self._trainer = TrainerHeartbeat(run.store)
        self._run = run
        self._network = network
        self._stored_positions = stored_positions
        self._backlog = 0
        self._stored_then = 0
        self._beat: float | None = None
        self._suspended_at: float | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="trainer-watch", daemon=True)
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
        return since is not None and time.monotonic() - since < _SUSPENSION_LASTS_SECONDS

    def close(self) -> None:
        """Asks the thread to end, without waiting."""
        self._closing.set()

    def join(self) -> None:
        """Waits for the end of the thread, for a limited time if the store does not answer.

        A thread that is still inside compiled code when the interpreter ends makes it abort.
        """
        self._thread.join(_LEAVING_SECONDS)

    def _follow(self) -> None:
        listen_at = 0.0
        while not self._closing.is_set():
            pause = _HEARTBEAT_SECONDS
            if self.newest.config.trainer.suspend_workers:
                pause = _SUSPENSION_SECONDS
            try:
                # Not longer: `join` waits for the rest of it.
                update = self._run.checkpoints.wait_for_newer(
                    self.newest.update, min(pause, _LOOK_SECONDS)
                )
                if update is not None:
                    self.newest = load_published(self._run, update, self._network, accepted=True)
                    self.heard_at = time.monotonic()
                    # Last, because the new weights need not wait for it.
                    self.published_at = (update, self._time_of(update))
                if time.monotonic() >= listen_at:
                    self._listen()
                    listen_at = time.monotonic() + pause
                self.problem = ""
            except CheckpointError as error:
                # It was probably removed meanwhile.
                self.problem = str(error)
                self._closing.wait(_SUSPENSION_SECONDS)
            except SelfplayError as error:
                self.problem = str(error)
                self._closing.wait(pause)

    def _time_of(self, update: int) -> float | None:
        """Returns when a checkpoint was published, by the clock of this host."""
        published = self._run.checkpoints.published_at(update)
        # Clocks of hosts differ, so timestamps of the store are compared with each other.
        ahead = store_clock_offset(self._run.store, "worker", self._id)
        return None if published is None or ahead is None else published - ahead

    def _listen(self) -> None:
        """Takes in the trainer's heartbeat."""
        beat = self._trainer.read()
        if beat is None:
            self._suspended_at = None
            return
        if beat.time == self._beat:
            return
        # A change shows that it is new, because the clocks of hosts differ.
        if self._beat is not None or beat.alive:
            self.heard_at = time.monotonic()
        self._beat = beat.time
        self._suspended_at = time.monotonic() if beat.fields.get("suspends") else None
        self._backlog = int(beat.fields.get("backlog_positions") or 0)
        self._stored_then = self._stored_positions()
