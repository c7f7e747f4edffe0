"""A worker: plays matches with the newest weights of a run and stores them in it."""

import dataclasses
import zlib
from typing import Any

import jax

from selfplay.errors import StorageError
from selfplay.records import MatchRecord
from selfplay.run.pace import file_seconds
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.playing import Playing
from selfplay.runtime.publishing import RecentMatches
from selfplay.settings import Config, settings_hash
from selfplay.workers.joining import Joined, Listeners, ProcessOptions
from selfplay.workers.match_sink import MatchSink
from selfplay.workers.pickup_delays import PickupDelays
from selfplay.workers.run_process import RunProcess
from selfplay.workers.worker_components import worker_components

_LONGEST_CHUNK_SECONDS = 2.0
_REST_SECONDS = 0.2
_FLUSH_SECONDS = 7.0
"""How long the store may take, from SIGTERM on, to store what is finished: whoever sends SIGTERM
usually kills after ten seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerOptions(ProcessOptions):
    """The settings of a worker process.

    Attributes:
        seed: decides everything random, together with the id and the number of the first file;
            None for the seed of the run, and chunks that suit the speed of the machine.
        dry_run: whether it plays but stores nothing.
        profile: whether it writes a trace into the run's folder `tensorboard`.
        jitter_seconds: it waits for a random time up to this before it begins, so that many workers
            started together do not all read at once.
    """

    seed: int | None = None
    dry_run: bool = False
    profile: bool = False
    jitter_seconds: float = 3.0


class Worker(RunProcess):
    """Plays for a run. Create it and call `work` once.

    Attributes:
        checkpoints_used: updates of all checkpoints it has played with, in order.
        playing: its matches in progress.
    """

    role = "worker"

    def __init__(
        self,
        joined: Joined,
        sink: MatchSink,
        *,
        options: WorkerOptions,
        lifetime: Lifetime,
        listeners: Listeners,
    ) -> None:
        """Starts its matches.

        Args:
            joined: the run, the name of this process in it, and what it begins with.
            sink: takes the finished matches.
            options: the settings of this process.
            lifetime: ends it.
            listeners: show messages and serve its metrics.
        """
        super().__init__(
            joined,
            lifetime,
            listeners,
            keeps_usage=not options.dry_run,
            stored_positions=lambda: self._positions,
        )
        first = joined.first
        self.checkpoints_used = [first.update]
        self._options = options
        self._sink = sink
        lifetime.last_act = self._keep_rest
        self._recent = RecentMatches()
        self._matches = self._positions = 0
        self._switched_at = 0.0
        self._pickup_delays = PickupDelays(first.update)
        self._chunks_timed = 0
        seed = first.config.trainer.seed if options.seed is None else options.seed
        # A restarted worker must not play its earlier matches again, nor those of another worker.
        key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(self.id.encode()))
        key = jax.random.fold_in(key, sink.next_sequence)
        start_key, play_key = jax.random.split(key)
        self.playing = Playing(
            self.components,
            self.components.provenance(self.run, self.id),
            start_key=start_key,
            play_key=play_key,
            say=self._say,
        )
        self._weights = self._placed(first)

    @property
    def store_problem(self) -> str:
        return self._sink.problem

    def work(self) -> None:
        """Plays until its lifetime ends; then stores the finished matches.

        Raises:
            StorageError: finished matches are lost: neither the store nor the local disk took them.
        """
        self._monitor.state("compiling", ready=False)
        with self.at_work():
            while not self.lifetime.over:
                self._switch_checkpoint()
                state = self._reason_to_rest()
                if state:
                    self._finish_begun()
                    self._pause(_REST_SECONDS)
                else:
                    state = "playing"
                    self._play()
                self.beat(state)
            self._finish_begun()

    def _leave(self) -> None:
        self.playing.close()
        stored = self._sink.close(max(0.0, _FLUSH_SECONDS - self.lifetime.asked_seconds))
        if not stored:
            self._keep_rest()

    def _keep_rest(self) -> None:
        """Keeps finished matches that the store did not accept on local disk, and says so."""
        files = f"{self._sink.pending} files of finished matches"
        problem = self._sink.problem or "there was no time left"
        try:
            kept = self._sink.keep()
        except StorageError as error:
            raise StorageError(
                f"{files} are lost: {problem}; and the local disk refuses them: {error}",
                hint="make the store reachable, or set SELFPLAY_CACHE to a writable folder",
            ) from error
        if kept:
            self._say(
                f"{files} are kept in {self._sink.kept_in}, because {problem}; the next "
                "worker of this run on this machine stores them"
            )

    def _switch_checkpoint(self) -> None:
        """Switches to a newer checkpoint, if there is one; matches in progress continue."""
        newest = self._newer()
        if newest is None:
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
                "search": {
                    "inference": self.components.config.search.inference,
                    "tree": self.components.config.search.tree,
                },
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
        # A worker with a seed of its own must always write the same files.
        workers = 0 if self._options.seed is not None else self._trainer_watch.workers
        self._store(finished, gather_seconds=file_seconds(workers))

    def _finish_begun(self) -> None:
        """Finishes the chunk in progress and stores all matches that have ended."""
        self._store(self.playing.rest(sequence=self._sink.next_sequence), gather_seconds=0.0)

    def _store(self, finished: list[MatchRecord], *, gather_seconds: float) -> None:
        with self.playing.span.current():
            self._sink.add(finished, gather_seconds=gather_seconds)
            if not finished:
                return
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

    def beat(self, state: str) -> None:
        self._pickup_delays.settle(self._trainer_watch.published_at)
        super().beat(state)

    def metrics(self) -> dict[str, Any]:
        return {
            **super().metrics(),
            "checkpoint_age_seconds": self._meter.elapsed - self._switched_at,
            **self._pickup_delays.metrics(),
            "matches": self._matches,
            "positions": self._positions,
            "matches_per_second": self._meter.rate("matches"),
            "positions_per_second": self._meter.rate("positions"),
            **self._recent.metrics(),
            **self.playing.resignations.metrics(),
            **self.playing.solver.metrics(),
            "matches_in_progress": self.components.player.num_matches,
            "queue_files": self._sink.pending,
        }
