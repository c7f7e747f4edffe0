"""A worker: plays matches with the newest weights of a run and stores them in it."""

import dataclasses
import zlib
from collections.abc import Mapping
from typing import Any

import jax

from selfplay.errors import StorageError
from selfplay.parallel import REPLICATED, sharding
from selfplay.records import MatchRecord
from selfplay.registry import GameSpec
from selfplay.run import RunDirectory, UnsentMatches
from selfplay.run.pace import beat_seconds
from selfplay.runtime.components import Components
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.meter import Meter
from selfplay.runtime.playing import Playing
from selfplay.runtime.publishing import HeartbeatWriter, RecentMatches
from selfplay.settings import Config, settings_hash
from selfplay.telemetry import words
from selfplay.telemetry.metrics import heartbeat_values, line_parts
from selfplay.workers.joining import Listeners
from selfplay.workers.match_sink import MatchSink
from selfplay.workers.pickup_delays import PickupDelays
from selfplay.workers.trainer_watch import Published, TrainerWatch
from selfplay.workers.worker_components import worker_components

_LINE_SECONDS = 10.0
_LONGEST_CHUNK_SECONDS = 2.0
_REST_SECONDS = 0.2
_FLUSH_SECONDS = 7.0
"""How long the store may take, from SIGTERM on, to store what is finished: whoever sends SIGTERM
usually kills after ten seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The settings of a worker process.

    Attributes:
        id: its name; None for the name of the host and the first free number.
        game: where the game of the run is now; None for where the run has it.
        seed: decides everything random, together with the id and the number of the first file;
            None for the seed of the run, and chunks that suit the speed of the machine.
        settings: of `--set` and the environment, by section. Only some may differ from those of the
            run.
        dry_run: whether it plays but stores nothing.
        profile: whether it writes a trace into the run's folder `tensorboard`.
        jitter_seconds: it waits for a random time up to this before it begins, so that many workers
            started together do not all read at once.
    """

    id: str | None = None
    game: GameSpec | None = None
    seed: int | None = None
    settings: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    dry_run: bool = False
    profile: bool = False
    jitter_seconds: float = 3.0


class Worker:
    """Plays for a run. Create it and call `work` once.

    Attributes:
        id: its name.
        lifetime: ends it.
        published: the checkpoint it plays with.
        components: the components that play.
        checkpoints_used: updates of all checkpoints it has played with, in order.
    """

    def __init__(
        self,
        run: RunDirectory,
        components: Components,
        first: Published,
        sink: MatchSink,
        *,
        id: str,
        options: WorkerOptions,
        lifetime: Lifetime,
        listeners: Listeners,
    ) -> None:
        """Starts its matches.

        Args:
            run: the run it plays for.
            components: made from the run's game and `worker_config`.
            first: the checkpoint to begin with.
            sink: takes the finished matches.
            id: its name, which no other worker of the run has.
            options: the settings of this process.
            lifetime: ends it.
            listeners: show messages and serve its metrics.
        """
        self.run = run
        self.components = components
        self.id = id
        self.lifetime = lifetime
        self.published = first
        self.checkpoints_used = [first.update]
        self._options = options
        self._sink = sink
        self._unsent = UnsentMatches(run.url, run.created)
        lifetime.last_act = self._keep_rest
        self._say = listeners.say
        self._monitor = listeners.monitor
        self._heartbeat = HeartbeatWriter(
            run,
            listeners.monitor,
            self._say,
            stop=lifetime.stop,
            keeps_usage=not options.dry_run,
        )
        self._meter = Meter()
        self._recent = RecentMatches()
        self._matches = self._positions = self._simulations = 0
        self._rested_seconds = 0.0
        self._switched_at = 0.0
        self._pickup_delays = PickupDelays(first.update)
        self._next_beat = self._next_line = 0.0
        self._chunks_timed = 0
        seed = first.config.trainer.seed if options.seed is None else options.seed
        # A restarted worker must not play its earlier matches again, nor those of another worker.
        key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(id.encode()))
        key = jax.random.fold_in(key, sink.next_sequence)
        start_key, play_key = jax.random.split(key)
        self.playing = Playing(
            components,
            components.provenance(run, id),
            start_key=start_key,
            play_key=play_key,
            say=self._say,
        )
        self._weights = self._placed(first)
        self._trainer_watch = TrainerWatch(
            run, components.network, first, id=id, stored_positions=lambda: self._positions
        )
        self._heard_at = self._trainer_watch.heard_at
        self._trainer_watch.start()

    def work(self) -> None:
        """Plays until its lifetime ends; then stores the finished matches.

        Raises:
            StorageError: finished matches are lost: neither the store nor the local disk took them.
        """
        self._monitor.state("compiling", ready=False)
        try:
            while not self.lifetime.over:
                self._switch_checkpoint()
                state = self._reason_to_rest()
                if state:
                    self._finish_begun()
                    begin = self._meter.elapsed
                    self.lifetime.sleep(_REST_SECONDS)
                    self._rested_seconds += self._meter.elapsed - begin
                else:
                    state = "playing"
                    self._play()
                self._meter.mark()
                self._publish(state)
            self._finish_begun()
        finally:
            self.playing.close()
            self._trainer_watch.close()
            self._monitor.state("leaving", ready=False)
            self._monitor.update(self.metrics())
            stored = self._sink.close(max(0.0, _FLUSH_SECONDS - self.lifetime.asked_seconds))
            if not stored:
                self._keep_rest()
            self._trainer_watch.join()
            self._heartbeat.stop()

    def _keep_rest(self) -> None:
        """Keeps finished matches that the store did not accept on local disk, and says so."""
        files = f"{self._sink.pending} files of finished matches"
        problem = self._sink.problem or "there was no time left"
        try:
            kept = self._sink.keep(self._unsent)
        except StorageError as error:
            raise StorageError(
                f"{files} are lost: {problem}; and the local disk refuses them: {error}",
                hint="make the store reachable, or set SELFPLAY_CACHE to a writable folder",
            ) from error
        if kept:
            self._say(
                f"{files} are kept in {self._unsent.folder}, because {problem}; the next "
                "worker of this run on this machine stores them"
            )

    def _switch_checkpoint(self) -> None:
        """Switches to a newer checkpoint, if there is one; matches in progress continue."""
        newest = self._trainer_watch.newest
        if self._trainer_watch.heard_at > self._heard_at:
            self._heard_at = self._trainer_watch.heard_at
            self.lifetime.heard()
        if newest.update == self.published.update:
            return
        self._weights = self._placed(newest)
        self._switched_at = self._meter.elapsed
        self.checkpoints_used.append(newest.update)
        changed = settings_hash(newest.config) != settings_hash(self.published.config)
        self.published = newest
        self._monitor.event("checkpoint", f"plays with checkpoint {newest.update}")
        if changed:
            self._say("the trainer has changed the settings of the search: compiling")
            own = self.components.player.config
            kept = {
                "search": {"inference": self.components.config.search.inference},
                "rollout": {
                    "matches_per_device": own.matches_per_device,
                    "plies_per_chunk": own.plies_per_chunk,
                },
            }
            self._change_components(newest.config.updated(kept))

    def _change_components(self, config: Config) -> None:
        self.components = worker_components(self.components.game, config, like=self.components)
        self._heartbeat.compilations.expect("play_chunk")
        self.playing.change_components(
            self.components, self.components.provenance(self.run, self.id)
        )

    def _placed(self, published: Published) -> Any:
        return jax.device_put(published.weights, sharding(self.components.mesh, REPLICATED))

    def _reason_to_rest(self) -> str:
        """Returns why the worker must pause now, or ""."""
        if not self._sink.has_room:
            return f"waiting for the store: {self._sink.problem or 'it is slow'}"
        if self._trainer_watch.suspended:
            return "resting while the trainer has the accelerator"
        if not self._options.dry_run:
            backlog = self._trainer_watch.backlog
            if backlog > self.published.config.trainer.max_backlog:
                return f"waiting for the trainer, which is {backlog:,} positions behind"
        return ""

    def _play(self) -> None:
        self._pickup_delays.play(self.published.update)
        begin = self._meter.elapsed
        finished = self.playing.chunk(
            self._weights,
            update=self.published.played_update,
            sequence=self._sink.next_sequence,
        )
        self._fit_chunk_length(self._meter.elapsed - begin)
        self._simulations += self.playing.simulations
        self._meter.count(simulations=self.playing.simulations)
        self._store(finished)

    def _finish_begun(self) -> None:
        """Finishes the chunk in progress and stores the matches that ended in it."""
        self._store(self.playing.rest(sequence=self._sink.next_sequence))

    def _store(self, finished: list[MatchRecord]) -> None:
        if finished:
            self._sink.add(finished)
            positions = sum(match.plies for match in finished)
            self._matches += len(finished)
            self._positions += positions
            self.lifetime.matches += len(finished)
            self._recent.add(finished)
            self._meter.count(matches=len(finished), positions=positions)
            self._monitor.event(
                "matches_finished",
                f"{len(finished)} matches",
                match_ids=[match.match_id for match in finished],
                matches=len(finished),
                checkpoint=self.published.update,
            )

    def _fit_chunk_length(self, seconds: float) -> None:
        """Shortens the chunks if they are so long that they delay new checkpoints.

        The first chunk includes compilation, so the second one is measured. A worker with a seed of
        its own must always play the same matches, so its chunks stay as they are.
        """
        before, self._chunks_timed = self._chunks_timed, self.playing.chunks_done
        tells = before < 2 <= self._chunks_timed
        plies = self.components.player.config.plies_per_chunk
        asked = "plies_per_chunk" in self._options.settings.get("rollout", {})
        fixed = self._options.seed is not None or asked
        if not tells or fixed or seconds <= _LONGEST_CHUNK_SECONDS or plies == 1:
            return
        fitting = max(1, int(plies * _LONGEST_CHUNK_SECONDS / 2 / seconds))
        self._say(f"a chunk takes {seconds:.1f} s: {fitting} plies at a time from now on")
        self._change_components(
            self.components.config.updated({"rollout": {"plies_per_chunk": fitting}})
        )

    def _publish(self, state: str) -> None:
        now = self._meter.elapsed
        self._pickup_delays.settle(self._trainer_watch.published_at)
        self._monitor.state(state, ready=True)
        if now >= self._next_beat:
            pause = beat_seconds(self._trainer_watch.workers)
            self._next_beat = now + pause
            self._heartbeat.beat(self.metrics(), pause_seconds=pause, **self.facts())
        if now >= self._next_line:
            self._next_line = now + _LINE_SECONDS
            self._say(self._line(state))

    def fields(self) -> dict[str, Any]:
        """Returns the content of this worker's heartbeat."""
        return {**heartbeat_values(self.metrics(), "worker"), **self.facts()}

    def facts(self) -> dict[str, Any]:
        """Returns the other content of heartbeats: problems in words ("" for none), devices."""
        return {
            "checkpoint_problem": self._trainer_watch.problem,
            "store_problem": self._sink.problem,
            "devices": self.components.mesh.size,
        }

    def metrics(self) -> dict[str, Any]:
        """Returns the metrics of a worker: counts since this process started, and rates now."""
        newest = self._trainer_watch.newest.update
        return {
            "elapsed_seconds": self._meter.elapsed,
            "update": self.published.played_update,
            "checkpoint": self.published.update,
            "newest_checkpoint": newest,
            "staleness_updates": newest - self.published.update,
            "checkpoint_age_seconds": self._meter.elapsed - self._switched_at,
            **self._pickup_delays.metrics(),
            "matches": self._matches,
            "positions": self._positions,
            "simulations": self._simulations,
            "matches_per_second": self._meter.rate("matches"),
            "positions_per_second": self._meter.rate("positions"),
            "simulations_per_second": self._meter.rate("simulations"),
            **self._recent.metrics(),
            **self.playing.resignations.metrics(),
            **self.playing.solver.metrics(),
            "matches_in_progress": self.components.player.num_matches,
            "queue_files": self._sink.pending,
            "waiting_seconds": self._rested_seconds,
        }

    def _line(self, state: str) -> str:
        parts = [words.duration(self._meter.elapsed), state]
        parts += line_parts(self.metrics(), "worker")
        parts += [self._trainer_watch.problem, self._sink.problem]
        return " | ".join(part for part in parts if part)
