"""A reanalyzer: searches stored matches of a run again with newer weights, for newer targets."""

import dataclasses
import zlib
from typing import Any

import jax
import numpy as np

from selfplay.errors import CheckpointError, RecordError, StorageError
from selfplay.records import MatchRecord
from selfplay.replay import part
from selfplay.run import MatchFiles
from selfplay.run.window_files import WindowFile
from selfplay.runtime.components import Components
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.reanalysis import Change, Reanalysis, SearchedAgain
from selfplay.runtime.reanalysis_choice import plies_to_search
from selfplay.workers.joining import Joined, Listeners, ProcessOptions, worker_config
from selfplay.workers.run_process import RunProcess
from selfplay.workers.trainer_watch import Published
from selfplay.workers.window_queue import ROLE, WindowQueue
from selfplay.workers.worker_components import worker_components

_REST_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReanalyzerOptions(ProcessOptions):
    """The settings of a reanalyzer process.

    Attributes:
        checkpoint: update of the weights that search; None for the newest, and newer ones as they
            come.
        share: of the positions of each match, those that are searched, in (0, 1].
        positions: how many positions of each match are searched at most, instead of a share; 0 for
            a share.
        sources: files, folders or runs whose matches are searched instead of those of the run, and
            added to it.
    """

    checkpoint: int | None = None
    share: float = 1.0
    positions: int = 0
    sources: tuple[str, ...] = ()


class Reanalyzer(RunProcess):
    """Searches matches again for a run. Create it and call `work` once.

    Attributes:
        matches: that were searched again and stored.
        positions: of these, how many were searched.
        store_problem: why files cannot be stored, "" if they can.
    """

    role = ROLE
    store_problem = ""

    def __init__(
        self,
        joined: Joined,
        *,
        options: ReanalyzerOptions,
        lifetime: Lifetime,
        listeners: Listeners,
    ) -> None:
        """Searches nothing yet.

        Args:
            joined: the run, the name of this process in it, and what it begins with.
            options: the settings of this process.
            lifetime: ends it.
            listeners: show messages and serve its metrics.
        """
        super().__init__(joined, lifetime, listeners)
        self.matches = self.positions = 0
        self._options = options
        self._change = Change()
        self._queue = WindowQueue(self.run, self.id)
        self._key = jax.random.fold_in(
            jax.random.key(joined.first.config.trainer.seed),
            zlib.crc32(f"{ROLE} {self.id}".encode()),
        )
        self._params = self._loaded(joined.first)
        self._search = self.compiled_search(self.components)

    def work(self) -> None:
        """Searches matches of the run again until the lifetime ends, or with given weights all."""
        files = self.run.reanalyses
        with self.at_work():
            self.beat("starting")
            sequence = files.next_sequence(self.id)
            while not self.lifetime.over:
                self._follow()
                if self._trainer_watch.suspended:
                    self.rest("resting while the trainer has the accelerator")
                    continue
                try:
                    chosen = self._choose()
                    self.store_problem = ""
                except (CheckpointError, StorageError) as error:
                    self.store_problem = str(error)
                    self.rest("waiting for the store")
                    continue
                if chosen:
                    found = self.search(chosen, sequence)
                    sequence = self.store(files, self.id, sequence, found.matches)
                elif self._options.checkpoint is not None:
                    self.lifetime.reason = "everything is searched again"
                else:
                    self.rest("waiting for a newer checkpoint")

    def _leave(self) -> None:
        # What was found is stored; another process can search the rest again.
        pass

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
                self.store_problem = ""
                break
            except StorageError as error:
                self.store_problem = str(error)
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
        self._pause(_REST_SECONDS)

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
        newest = self._newer()
        if self._options.checkpoint is not None or newest is None:
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
        return self.components.inference.load(self._placed(published))

    def metrics(self) -> dict[str, Any]:
        return {
            **super().metrics(),
            "reanalysed_positions": self.positions,
            "reanalysed_per_second": self._meter.rate("reanalysed"),
            **self._change.metrics(),
        }
