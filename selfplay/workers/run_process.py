"""What a worker and a reanalyzer have in common: they follow the newest weights of a run."""

import abc
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import jax

from selfplay.parallel import REPLICATED, sharding
from selfplay.run import RunDirectory
from selfplay.run.pace import beat_seconds
from selfplay.runtime.components import Components
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.meter import Meter
from selfplay.runtime.publishing import HeartbeatWriter
from selfplay.telemetry import words
from selfplay.telemetry.metrics import heartbeat_values, line_parts
from selfplay.workers.joining import Joined, Listeners
from selfplay.workers.trainer_watch import Published, TrainerWatch

_LINE_SECONDS = 10.0


class RunProcess(abc.ABC):
    """A process that works for a run with the newest weights, and reports what it does.

    Attributes:
        role: "worker" or "reanalyzer".
        id: its name, which no other process of its role has.
        run: the run it works for.
        components: the components that play or search.
        lifetime: ends it.
        published: the checkpoint in use.
    """

    role: ClassVar[str]

    def __init__(
        self,
        joined: Joined,
        lifetime: Lifetime,
        listeners: Listeners,
        *,
        keeps_usage: bool = True,
        stored_positions: Callable[[], int] = lambda: 0,
    ) -> None:
        """Asks the store nothing yet.

        Args:
            joined: the run, the name of this process in it, and what it begins with.
            lifetime: ends it.
            listeners: show messages and serve its metrics.
            keeps_usage: whether the run keeps how long the process ran.
            stored_positions: returns how many new positions the process has stored.
        """
        self.id = joined.id
        self.run: RunDirectory = joined.run
        self.components: Components = joined.components
        self.published = joined.first
        self.lifetime = lifetime
        self._say = listeners.say
        self._monitor = listeners.monitor
        self._heartbeat = HeartbeatWriter(
            joined.run,
            listeners.monitor,
            self._say,
            stop=lifetime.stop,
            keeps_usage=keeps_usage,
        )
        self._meter = Meter()
        self._simulations = 0
        self._rested_seconds = 0.0
        self._next_beat = self._next_line = 0.0
        self._trainer_watch = TrainerWatch(
            joined.run,
            joined.components.network,
            joined.first,
            id=joined.id,
            stored_positions=stored_positions,
        )
        self._heard_at = self._trainer_watch.heard_at

    @property
    @abc.abstractmethod
    def store_problem(self) -> str:
        """Why files cannot be stored, "" if they can."""

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Follows the trainer meanwhile, and leaves in order afterwards."""
        self._trainer_watch.start()
        try:
            yield
        finally:
            self._trainer_watch.close()
            self._monitor.state("leaving", ready=False)
            self._monitor.update(self.metrics())
            self._leave()
            self._trainer_watch.join()
            self._heartbeat.stop()

    @abc.abstractmethod
    def _leave(self) -> None:
        """Stores what is finished, for whatever reason the process ends."""

    def _newer(self) -> Published | None:
        """Returns the newest checkpoint unless it is in use; notes that the trainer is alive."""
        if self._trainer_watch.heard_at > self._heard_at:
            self._heard_at = self._trainer_watch.heard_at
            self.lifetime.heard()
        newest = self._trainer_watch.newest
        return None if newest.update == self.published.update else newest

    def _placed(self, published: Published) -> Any:
        return jax.device_put(published.weights, sharding(self.components.mesh, REPLICATED))

    def _pause(self, seconds: float) -> None:
        """Waits, less long if the process is asked to end; counts the time as waited."""
        begin = self._meter.elapsed
        self.lifetime.sleep(seconds)
        self._rested_seconds += self._meter.elapsed - begin

    def beat(self, state: str) -> None:
        """Reports what the process does, now and then also in heartbeats and lines."""
        self._meter.mark()
        now = self._meter.elapsed
        self._monitor.state(state, ready=True)
        if now >= self._next_beat:
            pause = beat_seconds(self._trainer_watch.workers)
            self._next_beat = now + pause
            self._heartbeat.beat(self.metrics(), pause_seconds=pause, **self.facts())
        if now >= self._next_line:
            self._next_line = now + _LINE_SECONDS
            parts = [words.duration(now), state, *line_parts(self.metrics(), self.role)]
            parts += [self._trainer_watch.problem, self.store_problem]
            self._say(" | ".join(text for text in parts if text))

    def fields(self) -> dict[str, Any]:
        """Returns the content of this process's heartbeat."""
        return {**heartbeat_values(self.metrics(), self.role), **self.facts()}

    def facts(self) -> dict[str, Any]:
        """Returns the other content of heartbeats: problems in words ("" for none), devices."""
        return {
            "checkpoint_problem": self._trainer_watch.problem,
            "store_problem": self.store_problem,
            "devices": self.components.mesh.size,
        }

    def metrics(self) -> dict[str, Any]:
        """Returns the metrics: counts since this process started, and rates now."""
        newest = self._trainer_watch.newest.update
        return {
            "elapsed_seconds": self._meter.elapsed,
            "update": self.published.played_update,
            "checkpoint": self.published.update,
            "newest_checkpoint": newest,
            "staleness_updates": newest - self.published.update,
            "simulations": self._simulations,
            "simulations_per_second": self._meter.rate("simulations"),
            "waiting_seconds": self._rested_seconds,
        }
