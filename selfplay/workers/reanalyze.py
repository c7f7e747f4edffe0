"""Starts a reanalyzer: joins its run, and searches its matches or those from elsewhere."""

import dataclasses

from selfplay.errors import CheckpointError, ConfigError
from selfplay.run import RunDirectory
from selfplay.run.match_sources import match_sources
from selfplay.runtime.lifetime import Lifetime
from selfplay.workers.joining import Listeners, joined, silent
from selfplay.workers.outside_matches import add_outside_matches
from selfplay.workers.reanalyzer import Reanalyzer, ReanalyzerOptions
from selfplay.workers.trainer_watch import load_published
from selfplay.workers.window_queue import ROLE


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
    with joined(place, options, lifetime, listeners, calibrates=False) as found:
        if found is None:
            return None
        run, components = found.run, found.components
        _check_searches(run, components.config.search.num_simulations)
        if options.checkpoint is not None:
            _check_there(run, options.checkpoint)
            first = load_published(run, options.checkpoint, components.network)
            found = dataclasses.replace(found, first=first)
        listeners.say(
            f"reanalyzer {found.id} works for {run.url} with checkpoint {found.first.update}, "
            f"inference by {components.inference.kind}"
        )
        reanalyzer = Reanalyzer(found, options=options, lifetime=lifetime, listeners=listeners)
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
