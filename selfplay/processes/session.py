"""Before training starts: a run, its parts, and whether there is anything to do."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from selfplay.arena import parse_agent
from selfplay.errors import RunError
from selfplay.game import Game
from selfplay.parallel import global_mesh
from selfplay.processes.bounds import Bounds
from selfplay.processes.parts import Parts, make_parts
from selfplay.processes.peers import Peers
from selfplay.processes.plan import plan_memory
from selfplay.registry import GameSpec
from selfplay.run import Config, RunDirectory, is_run
from selfplay.run.store import Place

_PATIENCE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """A run that is about to be trained.

    Attributes:
        run: made if need be.
        parts: what plays and learns.
        update: of the newest checkpoint; None if there is none.
        elapsed_seconds: of training so far.
    """

    run: RunDirectory
    parts: Parts
    update: int | None
    elapsed_seconds: float

    @property
    def fulfilled(self) -> str:
        """Returns how far the plan is, such as "15 of 15 minutes", if all is done, else ""."""
        plan = self.run.config.trainer
        minutes = self.elapsed_seconds / 60
        if plan.minutes and minutes >= plan.minutes:
            return f"{minutes:.3g} of {plan.minutes:g} minutes"
        if plan.updates and (self.update or 0) >= plan.updates:
            return f"{self.update} of {plan.updates} updates"
        return ""

    @property
    def next_plan(self) -> str:
        """Returns an option that plans further."""
        plan = self.run.config.trainer
        minutes = self.elapsed_seconds / 60
        if plan.minutes and minutes >= plan.minutes:
            return f"--minutes {2 * max(plan.minutes, minutes):.3g}"
        return f"--updates {2 * plan.updates}"


def open_session(
    place: Place, spec: GameSpec, game: Game[Any], settings: Mapping[str, Mapping[str, Any]]
) -> Session:
    """Resumes the run at `place`, or makes it once everything about it is known to be right.

    Where several processes train as one, the first of them makes it.

    Args:
        place: the run.
        spec: how `game` was made.
        game: the game.
        settings: what the user asked for, see `RunDirectory.open_or_create`.

    Raises:
        ConfigError: a setting is out of range, or does not fit the game.
        RunError: there is something else, or a run that does not fit.
        CheckpointError: the newest checkpoint is damaged.
    """
    if Peers().leads:
        if not is_run(place):
            _parts(game, Config.from_dict(settings))
    elif Bounds(max_seconds=_PATIENCE_SECONDS).wait_for(lambda: is_run(place) or None) is None:
        raise RunError(f"{place} is not made by the first process of the trainer")
    run = RunDirectory.open_or_create(place, spec, game, settings)
    parts = _parts(game, run.config)
    update = run.checkpoints.latest()
    seconds = 0.0
    if update is not None:
        seconds = float(run.checkpoints.metadata(update)["cursor"]["elapsed_seconds"])
    return Session(run=run, parts=parts, update=update, elapsed_seconds=seconds)


def _parts(game: Game[Any], config: Config) -> Parts:
    """Returns the parts; refuses opponents that do not exist before hours have passed."""
    if config.evaluation.enabled:
        for opponent in config.evaluation.opponents:
            parse_agent(opponent, game, batch_size=1)
    parts = make_parts(game, config, learner_mesh=global_mesh())
    plan_memory(game, parts.network, config).check()
    return parts
