"""Prepares a training session: opens or creates the run, and checks whether work is left."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from selfplay.arena import make_agent
from selfplay.errors import ConfigError, RunError
from selfplay.game import Game
from selfplay.learner import TrainState
from selfplay.parallel import global_mesh
from selfplay.registry import GameSpec
from selfplay.run import RunDirectory, is_run
from selfplay.runtime.components import Components, make_components
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.memory_plan import plan_memory
from selfplay.runtime.process_config import process_config
from selfplay.settings import Config
from selfplay.store.place import Place
from selfplay.telemetry import words
from selfplay.training.cursor import Cursor
from selfplay.training.process_group import ProcessGroup
from selfplay.training.warm_start import check_origin, find_source, own_source, publish

_PATIENCE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """A run that is ready to be trained.

    Attributes:
        run: opened, or created if there was none.
        components: what plays and learns.
        update: of the newest checkpoint; None if there is none.
        elapsed_seconds: of training so far.
        plateaus: how often the loss has stopped falling so far.
        notes: messages for people before training starts.
    """

    run: RunDirectory
    components: Components
    update: int | None
    elapsed_seconds: float
    plateaus: int = 0
    notes: tuple[str, ...] = ()

    @property
    def fulfilled(self) -> str:
        """Returns the plan, such as "15 of 15 minutes", if it is fulfilled, else ""."""
        plan = self.run.config.trainer
        minutes = self.elapsed_seconds / 60
        if plan.minutes and minutes >= plan.minutes:
            return f"{minutes:.3g} of {plan.minutes:g} minutes"
        if plan.updates and (self.update or 0) >= plan.updates:
            return f"{self.update} of {plan.updates} updates"
        if plan.stop_at_plateau and self.plateaus >= plan.stop_at_plateau:
            return (
                f"until the loss stopped falling, {self.plateaus} of {plan.stop_at_plateau} times"
            )
        return ""

    @property
    def beginning(self) -> str:
        """Returns in words what this session starts from."""
        origin = self.run.weights_origin
        if self.update == 0 and origin is not None:
            grown = f", grown {origin['grown']}" if "grown" in origin else ""
            return f"begins with the weights of {origin['run']}@{origin['update']}{grown}"
        if self.update is None:
            return "new"
        trained = words.duration(self.elapsed_seconds)
        return f"goes on from checkpoint {self.update:,}, after {trained} of training"

    @property
    def next_plan(self) -> str:
        """Returns an option for a longer training."""
        plan = self.run.config.trainer
        minutes = self.elapsed_seconds / 60
        if plan.minutes and minutes >= plan.minutes:
            return f"--minutes {2 * max(plan.minutes, minutes):.3g}"
        if not plan.updates or (self.update or 0) < plan.updates:
            return f"--set trainer.stop_at_plateau={self.plateaus + 1}"
        return f"--updates {2 * plan.updates}"


def open_session(
    place: Place,
    spec: GameSpec,
    game: Game[Any],
    settings: Mapping[str, Mapping[str, Any]],
    *,
    init_from: str | None = None,
) -> Session:
    """Resumes the run at `place`, or creates it after all settings have been checked.

    If several processes train together, the first creates it.

    Args:
        place: the run.
        spec: how `game` was made.
        game: the game.
        settings: what the user asked for, see `RunDirectory.open_or_create`.
        init_from: "RUN[@UPDATE]", whose weights a new run begins with; None for fresh ones.

    Raises:
        ConfigError: a setting is out of range, or does not fit the game.
        RunError: something else lies there, or a run that does not fit.
        CheckpointError: the newest checkpoint is damaged, or the weights to begin with do not fit.
    """
    _check_history(game, settings)
    state = None
    if ProcessGroup().leads:
        if not is_run(place):
            state = _make(place, spec, game, settings, init_from)
        elif init_from is not None:
            check_origin(place, init_from)
    elif Lifetime(max_seconds=_PATIENCE_SECONDS).wait_for(lambda: is_run(place) or None) is None:
        raise RunError(f"{place} is not made by the first process of the trainer")
    run = RunDirectory.open_or_create(place, spec, game, settings)
    notes: list[str] = []
    named = run.config.search.inference
    components = _components(
        game, process_config(run.config, settings, named=named, say=notes.append)
    )
    update = run.checkpoints.latest()
    if update is None and ProcessGroup().leads:
        # Also if a process was killed between writing run.toml and its first checkpoint.
        source = own_source(run) if state is None else None
        state = state if source is None else source.state(components)
        if state is not None:
            publish(run, state)
            update = 0
    cursor = Cursor()
    if update is not None:
        cursor = Cursor.from_json(run.checkpoints.metadata(update)["cursor"])
    return Session(
        run=run,
        components=components,
        update=update,
        elapsed_seconds=cursor.elapsed_seconds,
        plateaus=cursor.plateau.count,
        notes=tuple(notes),
    )


def _check_history(game: Game[Any], settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses a setting that would have no effect.

    Only what was asked for: earlier versions stored it in runs, and those runs go on.
    """
    share = settings.get("learner", {}).get("history_dropout", 0.0)
    if share and not game.history_planes:
        raise ConfigError(
            f"learner.history_dropout is {share:g}, but {game.name} has no history_planes to zero",
            hint="leave the setting out, or name the planes of observe that only repeat the past "
            "in history_planes of the game",
        )


def _make(
    place: Place,
    spec: GameSpec,
    game: Game[Any],
    settings: Mapping[str, Mapping[str, Any]],
    init_from: str | None,
) -> TrainState | None:
    """Creates a run; returns its first state if it comes from another run."""
    if init_from is None:
        _components(game, Config.from_dict(settings))
        RunDirectory.open_or_create(place, spec, game, settings)
        return None
    source = find_source(init_from)
    source.check_game(game)
    config = Config.from_dict(source.settings(settings))
    state = source.state(_components(game, config))
    growth = source.growth(config)
    origin = {**source.origin, "grown": growth} if growth else source.origin
    RunDirectory.create(place, spec, game, config, origin=origin)
    return state


def _components(game: Game[Any], config: Config) -> Components:
    """Returns the components; refuses unknown opponents now, not when they are first needed."""
    if config.evaluation.enabled:
        for opponent in config.evaluation.opponents:
            make_agent(opponent, game, batch_size=1)
    components = make_components(game, config, learner_mesh=global_mesh())
    plan_memory(game, components.network, config).check()
    return components
