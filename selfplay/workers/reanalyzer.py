"""A reanalyzer: searches stored matches of a run again with newer weights, for newer targets."""

import contextlib
import dataclasses
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from selfplay.errors import CheckpointError, RecordError, StorageError
from selfplay.parallel import REPLICATED, sharding
from selfplay.records import MatchRecord
from selfplay.registry import GameSpec
from selfplay.replay import part
from selfplay.run import MatchFiles, RunDirectory
from selfplay.run.window_files import WindowFile
from selfplay.runtime.components import Components
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.meter import Meter
from selfplay.runtime.publishing import HeartbeatWriter
from selfplay.runtime.reanalysis import Change, Reanalysis, SearchedAgain
from selfplay.runtime.reanalysis_choice import plies_to_search
from selfplay.telemetry import words
from selfplay.telemetry.metrics import heartbeat_values, line_parts
from selfplay.workers.joining import Listeners, worker_config
from selfplay.workers.trainer_watch import Published, TrainerWatch
from selfplay.workers.window_queue import ROLE, WindowQueue
from selfplay.workers.worker_components import worker_components

_BEAT_SECONDS = 5.0
_LINE_SECONDS = 10.0
_REST_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReanalyzerOptions:
    """The settings of a reanalyzer process.

    Attributes:
        id: its name; None for the name of the host and the first free number.
        game: where the game of the run is now; None for where the run has it.
        settings: of `--set` and the environment, by section. Only some may differ from those of the
            run.
        checkpoint: update of the weights that search; None for the newest, and newer ones as they
            come.
        share: of the positions of each match, those that are searched, in (0, 1].
        positions: how many positions of each match are searched at most, instead of a share; 0 for
            a share.
        sources: files, folders or runs whose matches are searched instead of those of the run, and
            added to it.
    """

    id: str | None = None
    game: GameSpec | None = None
    settings: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    checkpoint: int | None = None
    share: float = 1.0
    positions: int = 0
    sources: tuple[str, ...] = ()


class Reanalyzer:
    """Searches matches again for a run. Create it and call `work` once.

    Attributes:
        id: its name.
        run: the run it works for.
        components: the components that search.
        lifetime: ends it.
        published: the checkpoint whose weights search.
        matches: that were searched again and stored.
        positions: of these, how many were searched.
    """

    def __init__(
        self,
        run: RunDirectory,
        components: Components,
        first: Published,
        *,
        id: str,
        options: ReanalyzerOptions,
        lifetime: Lifetime,
        listeners: Listeners,
    ) -> None:
        """Searches nothing yet.

        Args:
            run: the run it works for.
            components: made from its game and `worker_config`.
            first: the checkpoint to begin with.
            id: its name, which no other reanalyzer of the run has.
            options: the settings of this process.
            lifetime: ends it.
            listeners: show messages and serve its metrics.
        """
        self.id = id
        self.run = run
        self.components = components
        self.lifetime = lifetime
        self.published = first
        self.matches = self.positions = 0
        self._options = options
        self._say = listeners.say
        self._monitor = listeners.monitor
        self._heartbeat = HeartbeatWriter(run, listeners.monitor, self._say, stop=lifetime.stop)
        self._meter = Meter()
        self._simulations = 0
        self._change = Change()
        self._rested_seconds = 0.0
        self._store_problem = ""
        self._next_beat = self._next_line = 0.0
        self._queue = WindowQueue(run, id)
        self._key = jax.random.fold_in(
            jax.random.key(first.config.trainer.seed), zlib.crc32(f"{ROLE} {id}".encode())
        )
        self._params = self._loaded(first)
        self._search = self.compiled_search(components)
        self._trainer_watch = TrainerWatch(run, components.network, first, id=id)
        self._trainer_watch.start()
        self._heard_at = self._trainer_watch.heard_at

    def work(self) -> None:
        """Searches matches of the run again until the lifetime ends, or with given weights all."""
        files = self.run.reanalyses
        with self.at_work():
            sequence = files.next_sequence(self.id)
            while not self.lifetime.over:
                self._follow()
                if self._trainer_watch.suspended:
                    self.rest("resting while the trainer has the accelerator")
                    continue
                try:
                    chosen = self._choose()
                    self._store_problem = ""
                except (CheckpointError, StorageError) as error:
                    self._store_problem = str(error)
                    self.rest("waiting for the store")
                    continue
                if chosen:
                    found = self.search(chosen, sequence)
                    sequence = self.store(files, self.id, sequence, found.matches)
                elif self._options.checkpoint is not None:
                    self.lifetime.reason = "everything is searched again"
                else:
                    self.rest("waiting for a newer checkpoint")

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Reports that the process is at work, and leaves in order afterwards."""
        self.beat("starting")
        try:
            yield
        finally:
            self._trainer_watch.close()
            self._monitor.state("leaving", ready=False)
            self._monitor.update(self.metrics())
            self._trainer_watch.join()
            self._heartbeat.stop()

    def search(self, matches: list[MatchRecord], number: int) -> SearchedAgain:
        """Searches the positions of some matches that the options ask for; reports it.

        Args:
            matches: at least one, none of them empty.
            number: with the id of this process it decides everything random.

        Raises:
            RecordError: a match does not follow the rules of the run's game.
        """
        options = self._options
        generator = self._generator(number)
        plies = [
            plies_to_search(match, generator, share=options.share, positions=options.positions)
            for match in matches
        ]
        found = self._search(
            self._params,
            matches,
            plies,
            checkpoint=self.published.played_update,
            key=jax.random.fold_in(self._key, number),
        )
        simulations = sum(
            int(match.simulations[of_match].sum())
            for match, of_match in zip(found.matches, plies, strict=True)
        )
        self._simulations += simulations
        self._change = found.change
        self._meter.count(simulations=simulations, reanalysed=found.change.positions)
        return found

    def store(
        self, files: MatchFiles, worker: str, sequence: int, matches: list[MatchRecord]
    ) -> int:
        """Stores matches under a number of a worker; returns the next one.

        While the store cannot be reached it tries again. At the end of the lifetime they are lost:
        another process can search them again.
        """
        while True:
            try:
                while not files.put(worker, sequence, matches):
                    sequence = files.next_sequence(worker)
                self._store_problem = ""
                break
            except StorageError as error:
                self._store_problem = str(error)
            if self.lifetime.over:
                return sequence
            self.rest("waiting for the store")
        self.matches += len(matches)
        again = sum(int((match.reanalysis_checkpoints >= 0).sum()) for match in matches)
        self.positions += again
        self.lifetime.matches += len(matches)
        self.beat("searching")
        return sequence + 1

    def rest(self, state: str) -> None:
        """Waits briefly, and reports why."""
        self.beat(state)
        begin = self._meter.elapsed
        self.lifetime.sleep(_REST_SECONDS)
        self._rested_seconds += self._meter.elapsed - begin

    def enough(self, matches: list[MatchRecord]) -> bool:
        """Returns whether the positions that the options ask for fill a batch."""
        share, most = self._options.share, self._options.positions
        positions = sum(min(most, m.plies) if most else share * m.plies for m in matches)
        return positions >= self._search.batch_size

    def compiled_search(self, components: Components) -> Reanalysis:
        """Returns what searches; the first search compiles it."""
        return Reanalysis(
            components.game,
            components.evaluate,
            components.config.search,
            batch_size=components.player.num_matches,
            mesh=components.mesh,
            fingerprint=self.run.fingerprint,
        )

    def _choose(self) -> list[MatchRecord]:
        """Returns matches of the window to search next, at least a batch if there are so many."""
        matches: list[MatchRecord] = []
        update = self.published.played_update
        chosen: list[WindowFile] = []
        for file in self._queue.files(self._trainer_watch.newest.update, update):
            matches += self._read(file)
            chosen.append(file)
            if self.enough(matches):
                break
        for file in chosen:
            self._queue.done(file, update)
        return matches

    def _read(self, file: WindowFile) -> list[MatchRecord]:
        """Returns the matches of a file that the trainer learns from; none if it was removed."""
        try:
            stored = self.run.matches.get(file.worker, file.sequence)
        except RecordError as error:
            self._monitor.event("matches_unreadable", str(error), level="warning")
            return []
        return [match for match in part(stored, file.holdout_share).learnt if match.plies]

    def _generator(self, number: int) -> np.random.Generator:
        name = zlib.crc32(self.id.encode())
        return np.random.Generator(np.random.Philox(key=[name, number]))

    def _follow(self) -> None:
        """Switches to a newer checkpoint, if there is one and none was asked for."""
        if self._trainer_watch.heard_at > self._heard_at:
            self._heard_at = self._trainer_watch.heard_at
            self.lifetime.heard()
        newest = self._trainer_watch.newest
        if self._options.checkpoint is not None or newest.update == self.published.update:
            return
        self.components.inference.release(self._params)
        config = worker_config(self.run, newest.config, self._options.settings)
        if config.search != self.components.config.search:
            self._say("the trainer has changed the settings of the search: compiling")
            self.components = worker_components(
                self.components.game, config, like=self.components, calibrates=False
            )
            self._search = self.compiled_search(self.components)
        self.published = newest
        self._params = self._loaded(newest)
        self._monitor.event("checkpoint", f"searches with checkpoint {newest.update}")

    def _loaded(self, published: Published) -> Any:
        placed = jax.device_put(published.weights, sharding(self.components.mesh, REPLICATED))
        return self.components.inference.load(placed)

    def beat(self, state: str) -> None:
        """Reports what the process does, now and then also in heartbeats and lines."""
        now = self._meter.elapsed
        self._meter.mark()
        self._monitor.state(state, ready=True)
        if now >= self._next_beat:
            self._next_beat = now + _BEAT_SECONDS
            self._heartbeat.beat(self.metrics(), **self.facts())
        if now >= self._next_line:
            self._next_line = now + _LINE_SECONDS
            parts = [words.duration(now), state, *line_parts(self.metrics(), ROLE)]
            parts += [self._trainer_watch.problem, self._store_problem]
            self._say(" | ".join(text for text in parts if text))

    def fields(self) -> dict[str, Any]:
        """Returns the content of this reanalyzer's heartbeat."""
        return {**heartbeat_values(self.metrics(), ROLE), **self.facts()}

    def facts(self) -> dict[str, Any]:
        """Returns the other content of heartbeats: problems in words ("" for none), devices."""
        return {
            "checkpoint_problem": self._trainer_watch.problem,
            "store_problem": self._store_problem,
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
            "reanalysed_positions": self.positions,
            "reanalysed_per_second": self._meter.rate("reanalysed"),
            **self._change.metrics(),
            "waiting_seconds": self._rested_seconds,
        }
