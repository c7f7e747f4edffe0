"""Before training starts: a run directory, its parts, and whether there is anything to do."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.arena import parse_agent
from selfplay.game import Game
from selfplay.processes.parts import Parts, make_parts
from selfplay.registry import GameSpec
from selfplay.run import Config, RunDirectory, is_run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """A run that is about to be trained.

    Attributes:
        run: its directory, made if need be.
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
    path: Path, spec: GameSpec, game: Game[Any], settings: Mapping[str, Mapping[str, Any]]
) -> Session:
    """Resumes the run at `path`, or makes it once everything about it is known to be right.

    Args:
        path: the run directory.
        spec: how `game` was made.
        game: the game.
        settings: what the user asked for, see `RunDirectory.open_or_create`.

    Raises:
        ConfigError: a setting is out of range, or does not fit the game.
        RunError: the directory holds something else, or a run that does not fit.
        CheckpointError: the newest checkpoint is damaged.
    """
    if not is_run(path):
        _parts(game, Config.from_dict(settings))
    run = RunDirectory.open_or_create(path, spec, game, settings)
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
    return make_parts(game, config)
