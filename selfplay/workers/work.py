"""Starts a worker: finds its run, claims an id, creates the components, and plays."""

import random

from selfplay.run import RunDirectory, UnsentMatches, UploadQueue
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.trace import traced
from selfplay.workers.joining import (
    Listeners,
    silent,
    wait_for_checkpoint,
    wait_for_run,
    worker_config,
)
from selfplay.workers.match_sink import DiscardingSink
from selfplay.workers.process_ids import claimed_id
from selfplay.workers.worker import Worker, WorkerOptions
from selfplay.workers.worker_components import plan_worker_memory, worker_components


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
    run = wait_for_run(place, lifetime, listeners)
    if run is None:
        return None
    # Errors in the settings are reported at once.
    config = worker_config(run, run.config, options.settings, listeners.say)
    with claimed_id(run, "worker", options.id, lifetime=lifetime) as id:
        listeners.monitor.id = id
        components = worker_components(run.make_game(options.game), config)
        plan_worker_memory(components).check()
        first = wait_for_checkpoint(run, components.network, lifetime, listeners, accepted=True)
        if first is None:
            return None
        lifetime.heard()
        # The settings in force may differ from those that the run was created with.
        config = worker_config(run, first.config, options.settings)
        components = worker_components(components.game, config, like=components)
        plan = plan_worker_memory(components)
        plan.check()
        if not options.dry_run:
            _store_unsent(run, lifetime, listeners)
        listeners.say(
            f"worker {id} plays for {run.url} with checkpoint {first.update}, inference by "
            f"{components.inference.kind}, {plan}"
        )
        worker = Worker(
            run,
            components,
            first,
            DiscardingSink() if options.dry_run else UploadQueue(run.matches, id),
            id=id,
            options=options,
            lifetime=lifetime,
            listeners=listeners,
        )
        with traced(run.tensorboard_path if options.profile else None, listeners.say) as trace:
            worker.playing.trace = trace
            worker.work()
        return worker


def _store_unsent(run: RunDirectory, lifetime: Lifetime, listeners: Listeners) -> None:
    """Stores the matches that earlier workers on this machine could not store."""
    unsent = UnsentMatches(run.url, run.created)
    stored, problem = unsent.store(run.matches, over=lambda: lifetime.over)
    if stored:
        listeners.say(f"stored {stored} files of matches that an earlier worker left here")
    if problem:
        listeners.say(f"matches of an earlier worker stay in {unsent.folder}: {problem}")
