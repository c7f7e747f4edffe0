"""Starts a worker: joins its run, stores what an earlier one left unstored, and plays."""

import contextlib
import random

from selfplay.run import RunDirectory, UnsentMatches, UploadQueue
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.trace import traced
from selfplay.workers.joining import Listeners, joined, silent
from selfplay.workers.match_sink import DiscardingSink, MatchSink
from selfplay.workers.worker import Worker, WorkerOptions
from selfplay.workers.worker_components import plan_worker_memory


def work(
    place: str, options: WorkerOptions, lifetime: Lifetime, listeners: Listeners | None = None
) -> Worker | None:
    """Plays for the run at `place` until `lifetime` ends; waits for the run if there is none yet.

    Args:
        place: the run, a path or a URL. It may not exist yet.
        options: the settings of this process.
        lifetime: ends it.
        listeners: show messages and serve its metrics; None for silence.

    Returns:
        The worker, None if it ended before there was a checkpoint.

    Raises:
        ConfigError: the settings contradict those of the run.
        RunError: the id is taken, or the game has changed.
        StorageError: finished matches are lost, because they could not be stored.
    """
    listeners = listeners or silent("worker")
    lifetime.sleep(random.uniform(0.0, options.jitter_seconds))
    with joined(place, options, lifetime, listeners) as found:
        if found is None:
            return None
        run, components = found.run, found.components
        listeners.say(
            f"worker {found.id} plays for {run.url} with checkpoint {found.first.update}, "
            f"inference by {components.inference.kind}, {plan_worker_memory(components)}"
        )
        unsent = UnsentMatches(run.url, run.created)
        sink: MatchSink = DiscardingSink()
        if not options.dry_run:
            _store_unsent(unsent, run, lifetime, listeners)
            sink = UploadQueue(run.matches, found.id, unsent)
        worker = Worker(found, sink, options=options, lifetime=lifetime, listeners=listeners)
        with (
            contextlib.closing(unsent),
            traced(run.tensorboard_path if options.profile else None, listeners.say) as trace,
        ):
            worker.playing.trace = trace
            worker.work()
        return worker


def _store_unsent(
    unsent: UnsentMatches, run: RunDirectory, lifetime: Lifetime, listeners: Listeners
) -> None:
    """Stores the matches that earlier workers on this machine left unstored."""
    stored, problem = unsent.store(run.matches, over=lambda: lifetime.over)
    if stored:
        listeners.say(f"stored {stored} files of matches that an earlier worker left here")
    if problem:
        listeners.say(f"matches of an earlier worker stay in {unsent.folder}: {problem}")
