"""Searches positions of the window again, between the chunks of matches that a trainer plays."""

import functools
import threading

import jax
import numpy as np
from jaxtyping import Array, Key

from selfplay.records import MatchRecord
from selfplay.replay import part
from selfplay.runtime.meter import Meter
from selfplay.runtime.playing import Playing
from selfplay.runtime.reanalysis import Change, Reanalysis
from selfplay.runtime.reanalysis_choice import files_to_search, plies_to_search
from selfplay.training.cursor import OWN_WORKER
from selfplay.training.learning import Learning


class OwnReanalysis:
    """Keeps the share `replay.reanalyze_share` of what the trainer searches.

    What it does next depends only on the seed, the counters and the window, so a resumed run goes
    on exactly. Files are searched whole, and what is done too much is made up for later.

    Attributes:
        change: how far new targets are from old ones, over the newest round.
    """

    def __init__(
        self, learning: Learning, playing: Playing, meter: Meter, key: Key[Array, ""]
    ) -> None:
        """Compiles nothing yet.

        Args:
            learning: has the window, and takes in the new targets.
            playing: has the weights that search.
            meter: counts what is searched.
            key: consumed.
        """
        self.change = Change()
        self._learning = learning
        self._playing = playing
        self._meter = meter
        self._key = key

    @functools.cached_property
    def _search(self) -> Reanalysis:
        components = self._playing.components
        return Reanalysis(
            components.game,
            components.evaluate,
            components.config.search,
            batch_size=components.player.num_matches,
            mesh=components.mesh,
            fingerprint=self._learning.run.fingerprint,
        )

    def work(self, positions: int, stopped: threading.Event) -> None:
        """Searches again as much as is due.

        Args:
            positions: of matches that this process has finished since the last call.
            stopped: ends it early; the next session begins with the rest.
        """
        cursor, share = self._learning.cursor, self._learning.config.replay.reanalyze_share
        if not share:
            cursor.reanalysis_debt = 0.0
            return
        # Weights that have learnt nothing have nothing to say of earlier positions.
        if self._learning.player.update:
            cursor.reanalysis_debt += positions * share / (1 - share)
        while cursor.reanalysis_debt > 0 and not stopped.is_set():
            searched = self._search_some()
            # Where all is done there is no debt.
            cursor.reanalysis_debt = cursor.reanalysis_debt - searched if searched else 0.0

    def _search_some(self) -> int:
        """Searches at least a batch again; returns how many positions, 0 if there is nothing."""
        learning = self._learning
        cursor, seed = learning.cursor, learning.config.trainer.seed
        sequence = cursor.next_reanalyses.get(OWN_WORKER, 0)
        update, weights = learning.player
        # Apart from the draws of samples, which have a number of 32 bits.
        generator = np.random.Generator(np.random.Philox(key=[seed, (1 << 40) + sequence]))
        matches: list[MatchRecord] = []
        for file in files_to_search(cursor.window, update, generator):
            stored = learning.run.matches.get(file.worker, file.sequence)
            learnt = part(stored, file.holdout_share).learnt
            matches += [match for match in learnt if match.plies]
            if sum(match.plies for match in matches) >= self._search.batch_size:
                break
        if not matches:
            return 0
        found = self._search(
            self._playing.loaded(weights, version=update),
            matches,
            [plies_to_search(match, generator) for match in matches],
            checkpoint=update,
            key=jax.random.fold_in(self._key, sequence),
        )
        files = learning.run.reanalyses
        # After a kill a file of that number may hold others, made with weights that are lost.
        if not files.put(OWN_WORKER, sequence, found.matches):
            sequence = files.next_sequence(OWN_WORKER)
            files.put(OWN_WORKER, sequence, found.matches)
        learning.renew(OWN_WORKER, sequence, found.matches)
        self.change = found.change
        simulations = sum(int(match.simulations.sum()) for match in found.matches)
        self._meter.count(reanalysed=found.change.positions, simulations=simulations)
        return found.change.positions
