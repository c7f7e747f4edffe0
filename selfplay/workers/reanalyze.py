"""Starts a reanalyzer: finds its run, claims an id, creates the components, and searches."""

from selfplay.errors import CheckpointError, ConfigError
from selfplay.run import RunDirectory
from selfplay.run.match_sources import match_sources
from selfplay.runtime.lifetime import Lifetime
from selfplay.workers.joining import (
    Listeners,
    silent,
    wait_for_checkpoint,
    wait_for_run,
    worker_config,
)
from selfplay.workers.outside_matches import add_outside_matches
from selfplay.workers.process_ids import claimed_id
from selfplay.workers.reanalyzer import Reanalyzer, ReanalyzerOptions
from selfplay.workers.trainer_watch import load_published
from selfplay.workers.window_queue import ROLE
from selfplay.workers.worker_components import plan_worker_memory, worker_components


def reanalyze(
    place: str,
    options: ReanalyzerOptions,
    lifetime: Lifetime,
    listeners: Listeners | None = None,
) -> Reanalyzer | None:
    """Searches stored matches again for the run at `place` until `lifetime` ends.

    With a given checkpoint, or matches from elsewhere, it ends when all of them are searched.

    Args:
        place: the run, a path or a URL. It may not exist yet.
        options: the settings of this process.
        lifetime: ends it.
        listeners: show messages and serve its metrics; None for silence.

    Returns:
        The reanalyzer, None if it ended before there was a checkpoint.

    Raises:
        ConfigError: the settings contradict those of the run, or search nothing.
        RunError: the id is taken, or the game has changed, or a source does not exist.
        CheckpointError: there is no such checkpoint.
        RecordError: matches from elsewhere are damaged, or of another game or other rules.
    """
    listeners = listeners or silent(ROLE)
    # Before anything else: what was typed may be wrong.
    files = [one for text in options.sources for one in match_sources(text, option="--from")]
    run = wait_for_run(place, lifetime, listeners)
    if run is None:
        return None
    config = worker_config(run, run.config, options.settings, listeners.say)
    with claimed_id(run, ROLE, options.id, lifetime=lifetime) as id:
        listeners.monitor.id = id
        components = worker_components(run.make_game(options.game), config, calibrates=False)
        plan_worker_memory(components).check()
        first = wait_for_checkpoint(run, components.network, lifetime, listeners, accepted=True)
        if first is None:
            return None
        lifetime.heard()
        config = worker_config(run, first.config, options.settings)
        _check_searches(run, config.search.num_simulations)
        components = worker_components(components.game, config, like=components, calibrates=False)
        if options.checkpoint is not None:
            _check_there(run, options.checkpoint)
            first = load_published(run, options.checkpoint, components.network)
        listeners.say(
            f"reanalyzer {id} works for {run.url} with checkpoint {first.update}, inference by "
            f"{components.inference.kind}"
        )
        reanalyzer = Reanalyzer(
            run,
            components,
            first,
            id=id,
            options=options,
            lifetime=lifetime,
            listeners=listeners,
        )
        if options.sources:
            add_outside_matches(reanalyzer, files)
        else:
            reanalyzer.work()
        return reanalyzer


def _check_searches(run: RunDirectory, simulations: int) -> None:
    if simulations == 0:
        raise ConfigError(
            f"search.num_simulations is 0 in {run.url}, so there is nothing to search again",
            hint="the raw network's own policy is no target for it; train with simulations",
        )


def _check_there(run: RunDirectory, update: int) -> None:
    available = run.checkpoints.updates()
    if update not in available:
        shown = ", ".join(map(str, available[-10:]))
        raise CheckpointError(
            f"{run.url} has no checkpoint {update}",
            hint=f"complete checkpoints are: {'..., ' if len(available) > 10 else ''}{shown}",
        )
