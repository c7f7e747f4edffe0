"""The matches that a trainer plays itself."""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import PyTree

from selfplay.records import MatchRecord
from selfplay.run import MatchFiles
from selfplay.runtime.meter import Meter
from selfplay.runtime.playing import Playing
from selfplay.telemetry import tracing
from selfplay.training.cursor import OWN_WORKER, Cursor
from selfplay.training.learning import Learning
from selfplay.training.match_source import MatchSource
from selfplay.training.own_reanalysis import OwnReanalysis
from selfplay.training.run_keys import run_keys


class OwnPlay(MatchSource):
    """Plays in the process that learns; workers may also add matches at any time.

    Attributes:
        playing: the matches in progress.
        reanalysis: searches positions of the window again, if that is asked for.
    """

    activity = "playing"
    relies_on_workers = False
    playing: Playing

    def __init__(self, learning: Learning, meter: Meter, say: Callable[[str], None]) -> None:
        """Starts all matches at their first position; `restore` continues from a checkpoint."""
        super().__init__(learning, meter, say, own_worker=OWN_WORKER)
        components = learning.components
        keys = run_keys(components.config.trainer.seed)
        self.playing = Playing(
            components,
            components.provenance(learning.run, OWN_WORKER),
            start_key=keys.start,
            play_key=keys.play,
            say=say,
        )
        self.reanalysis = OwnReanalysis(learning, self.playing, meter, keys.reanalysis)

    def restore(self, update: int) -> Sequence[MatchRecord]:
        cursor = self.learning.cursor
        problem = self.playing.restore(
            self.learning.run.checkpoints, update, iteration=cursor.iteration
        )
        if problem:
            self.say(problem)
        stored: Sequence[MatchRecord] = []
        if self.playing.must_settle:
            stored = self._store(self.playing.rest(sequence=cursor.sequence))
        # What a session that was asked to end had left to do.
        self.reanalysis.work(0, threading.Event())
        return stored

    def get_more(self, stopped: threading.Event) -> Sequence[MatchRecord]:
        learning, playing = self.learning, self.playing
        with self.meter.phase("play"):
            update, weights = learning.player
            finished = playing.chunk(weights, update=update, sequence=learning.cursor.sequence)
            learning.cursor.iteration = playing.iteration
            self.meter.count(simulations=playing.simulations)
            # Meanwhile the devices play on.
            stored = self._store(finished)
            playing.wait()
            self.reanalysis.work(sum(match.plies for match in stored), stopped)
        return stored

    def _store(self, finished: Sequence[MatchRecord]) -> Sequence[MatchRecord]:
        """Stores finished matches and takes them in; returns them as stored."""
        if not finished:
            return []
        cursor = self.learning.cursor
        files = self.learning.run.matches
        with self.playing.span.current():
            with tracing.span("store matches", matches=len(finished)) as span:
                stored = store_own(files, cursor, finished, traceparent=span.traceparent)
                span.set(file=files.series_name(OWN_WORKER, cursor.sequence))
            with tracing.span("take in matches", parent=span.traceparent, matches=len(stored)):
                self.learning.take_in(OWN_WORKER, cursor.sequence, stored)
        cursor.sequence += 1
        return stored

    def checkpoint_items(self) -> dict[str, PyTree]:
        return self.playing.items()

    def reanalysis_metrics(self) -> dict[str, Any]:
        return self.reanalysis.change.metrics()

    def close(self) -> None:
        self.playing.close()


def store_own(
    files: MatchFiles, cursor: Cursor, finished: Sequence[MatchRecord], *, traceparent: str = ""
) -> Sequence[MatchRecord]:
    """Stores matches that the trainer played, and returns them as stored.

    After a kill the number of their file may be taken: files that are newer than the checkpoint
    hold finished matches too. They stay, but the run does not learn from them. The new matches take
    their place, under the next free number.

    Args:
        files: of the run.
        cursor: its `sequence` is the number of the file, and becomes the one that is free.
        finished: at least one match.
        traceparent: names the span that stores them; "" for none.
    """
    if files.put(OWN_WORKER, cursor.sequence, finished, traceparent=traceparent):
        return finished
    cursor.sequence = files.next_sequence(OWN_WORKER)
    renamed = [
        dataclasses.replace(match, match_id=f"{OWN_WORKER}-{cursor.sequence:08d}-{index:04d}")
        for index, match in enumerate(finished)
    ]
    files.put(OWN_WORKER, cursor.sequence, renamed, traceparent=traceparent)
    return renamed
