"""The options of `selfplay train` and `selfplay trainer`, and the training session itself."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfplay.cli.group import invocation
from selfplay.cli.option_groups import OptionGroup
from selfplay.cli.options import (
    ConfigFile,
    Devices,
    GameOptions,
    InitFrom,
    Minutes,
    Preset,
    RunSeed,
    Settings,
    Updates,
    overrides,
)
from selfplay.cli.output import facts, say, say_json
from selfplay.cli.training import summary
from selfplay.cli.training.monitoring import MonitoringOptions, monitoring

if TYPE_CHECKING:
    from selfplay.game import Game
    from selfplay.registry import GameSpec
    from selfplay.settings import Fit, Source
    from selfplay.telemetry import Monitor
    from selfplay.training.trainer import Trainer


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions(OptionGroup):
    """The options of every command that trains."""

    minutes: Minutes = None
    updates: Updates = None
    seed: RunSeed = None
    init_from: InitFrom = None
    devices: Devices = None
    preset: Preset = "default"
    config: ConfigFile = None
    settings: Settings = None
    option: GameOptions = None

    def overrides(self, more: Mapping[str, int | float | None]) -> list[str]:
        """Returns the settings of the options, as SECTION.KEY=VALUE; `more` comes last."""
        asked = {
            "trainer.minutes": self.minutes,
            "trainer.updates": self.updates,
            "trainer.seed": self.seed,
        }
        return overrides(self.settings, {**asked, **more})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workers:
    """What a trainer needs if workers play its matches.

    Attributes:
        idle_exit: seconds without matches until it exits; 0 for no limit.
        join_group: joins this process with others that train together, if there are any.
    """

    idle_exit: float
    join_group: Callable[[], None]


def run_training(
    game_name: str | None,
    place: Path | str | None,
    options: TrainingOptions,
    *,
    monitored: MonitoringOptions,
    as_json: bool,
    workers: Workers | None = None,
    settings: Mapping[str, int | float | None] | None = None,
    profile: bool = False,
) -> None:
    """Trains, and reports the result.

    Args:
        game_name: the game; None for that of the run.
        place: the run; None for one named after the game.
        options: what was typed.
        monitored: metrics, health and logs.
        as_json: whether to print one JSON document.
        workers: for a trainer whose matches workers play; None if it plays itself.
        settings: of further options, by name; None if an option was not given.
        profile: whether to write a trace that shows where the time goes.
    """
    from rich.console import Console

    from selfplay import startup
    from selfplay.cli.signals import StopSignals
    from selfplay.settings import merged, read_sources

    role_id = "loop" if workers is None else "trainer"
    with (
        StopSignals() as signals,
        monitoring("trainer", role_id, place or "", monitored) as monitor,
    ):
        # Here, so that with JSON logs errors and notes become lines of the log.
        sources = read_sources(
            preset=options.preset, file=options.config, overrides=options.overrides(settings or {})
        )
        startup.prepare(
            cpu_devices=options.devices,
            device_memory=startup.ALONE_MEMORY if workers is None else startup.SHARED_MEMORY,
        )
        if workers is not None:
            workers.join_group()

        from selfplay.game.rules import search_sees_more
        from selfplay.runtime.trace import traced
        from selfplay.settings.renames import rename_note, renamed_in
        from selfplay.training.own_play import OwnPlay
        from selfplay.training.process_group import lost_members
        from selfplay.training.session import open_session
        from selfplay.training.trainer import train
        from selfplay.training.worker_matches import WorkerMatches

        def tell(event: str, text: str, message: str, **fields: Any) -> None:
            """Prints `text` for people, or logs `message` and fields for programs."""
            if monitor.logs:
                monitor.event(event, message, **fields)
            else:
                say(text, err=as_json)

        def print_document(update: int | None, finished: bool) -> None:
            if as_json:
                document = summary.document(session, update, finished=finished)
                say_json(document, indent=None if monitor.logs else 1)

        if workers is not None and place is not None:
            _wait_for_store(str(place), workers.idle_exit, monitor)
        spec, game = _game(game_name, options, place)
        place = place or Path("runs") / game.name
        monitor.run = str(place)
        sources, choice = _fitted(place, game, sources, options, plays=workers is None)
        session = open_session(place, spec, game, merged(sources), init_from=options.init_from)
        for name in renamed_in(session.run.document["config"]):
            note = rename_note(name, source=session.run.store.label("run.toml"))
            tell("message", f"note: {note}", note)
        if session.fulfilled:
            text = f"has trained {session.fulfilled}; use {session.next_plan} to continue"
            tell("closing", f"{session.run.url} {text}", text, finished=True)
            print_document(session.update, True)
            return
        opening = summary.opening(session)
        in_force = summary.settings_in_force(session, sources)
        told = dict([*opening, ("settings", "; ".join(in_force))])
        listed = _listed("settings", in_force)
        if choice is not None:
            listed = [*_listed("chosen", choice.reasons), *listed]
            told["chosen"] = "; ".join(choice.reasons)
        tell("opening", facts([*opening, *listed]), session.beginning, **told)
        for note in session.notes:
            tell("message", note, note)
        if hidden := search_sees_more(game):
            tell("message", hidden, hidden)
        compiling = "compiling, which takes a while the first time"
        tell("message", compiling, compiling)
        reporter = monitor.reporter(Console(stderr=as_json))
        board = session.run.tensorboard_path if profile else None
        with lost_members(), traced(board, reporter.message) as trace:

            def ready(trainer: "Trainer") -> None:
                signals.ready(trainer.stop, reporter.message)
                if trace is not None and trainer.source.playing is not None:
                    trace.warmed_up = lambda: trainer.update > 0
                    trainer.source.playing.trace = trace

            trainer = train(
                session.run,
                session.components,
                reporter,
                source=OwnPlay
                if workers is None
                else functools.partial(WorkerMatches, idle_exit_seconds=workers.idle_exit),
                monitor=monitor,
                on_ready=ready,
            )
        finished = not trainer.stopped or (trainer.planned_fraction or 0) >= 1
        reached = summary.reached(trainer, finished=finished)
        text = summary.ending(trainer, reached, finished=finished, typed=invocation.get())
        tell(
            "closing",
            text,
            " ".join(reached[0]),
            finished=finished,
            update=trainer.update,
            checkpoint=trainer.saved,
        )
        print_document(trainer.update, finished)


def _listed(label: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    """Returns `lines` with a label before the first one."""
    return [("" if index else label, text) for index, text in enumerate(lines)]


def _fitted(
    place: Path | str,
    game: "Game[Any]",
    sources: "list[Source]",
    options: TrainingOptions,
    *,
    plays: bool,
) -> "tuple[list[Source], Fit | None]":
    """Returns `sources` and what is chosen for a new run; an old one has its settings."""
    from selfplay.run import is_run
    from selfplay.runtime.facts import game_facts, machine_facts
    from selfplay.settings import Source, fitted
    from selfplay.training.process_group import ProcessGroup
    from selfplay.training.warm_start import find_source

    if is_run(place) or not ProcessGroup().leads:
        return sources, None
    if options.init_from is not None:
        taken = find_source(options.init_from).settings({})
        sources = [Source(f"weights of {options.init_from}", taken), *sources]
    return fitted(
        sources, lambda: (game_facts(game), machine_facts(plays=plays)), preset=options.preset
    )


def _wait_for_store(place: str, idle_exit: float, monitor: "Monitor") -> None:
    """Waits until the server of a remote store answers, as workers do."""
    from selfplay.runtime.lifetime import Lifetime
    from selfplay.store import is_remote
    from selfplay.workers.joining import Listeners, wait_for_store

    if not is_remote(place):
        return

    def tell(text: str) -> None:
        if monitor.logs:
            monitor.event("message", text, level="warning")
        else:
            say(text, err=True)

    lifetime = Lifetime(idle_exit_seconds=idle_exit)
    wait_for_store(place, lifetime, Listeners(say=tell, monitor=monitor))


def _game(
    name: str | None, options: TrainingOptions, place: Path | str | None
) -> tuple["GameSpec", "Game[Any]"]:
    """Returns the game that was named, else that of the run, else that of the weights."""
    from selfplay.cli.targets import game_spec
    from selfplay.errors import RunError
    from selfplay.run import RunDirectory, is_run, split_checkpoint_name

    if name is not None:
        spec = game_spec(name, options.option)
        return spec, spec.make()
    if place is not None and is_run(place):
        run = RunDirectory.open(place)
    elif options.init_from is not None:
        run = RunDirectory.open(split_checkpoint_name(options.init_from)[0])
    else:
        raise RunError(
            f"{place} is not a selfplay run",
            hint="name its game: --game GAME, or SELFPLAY_GAME=GAME in the environment",
        )
    return run.game_spec, run.make_game()
