"""selfplay train: the whole loop on this machine."""

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.group import Invocation, invocation
from selfplay.cli.options import (
    ConfigFile,
    Devices,
    GameName,
    GameOptions,
    InitFrom,
    Json,
    Minutes,
    Preset,
    RunSeed,
    Settings,
    Updates,
    overrides,
)
from selfplay.cli.output import facts, say, say_json
from selfplay.cli.training.monitoring import Profile

if TYPE_CHECKING:
    from selfplay.game import Game
    from selfplay.registry import GameSpec
    from selfplay.settings import Source
    from selfplay.telemetry import Monitor
    from selfplay.training.session import Session
    from selfplay.training.trainer import Trainer

EXAMPLES = (
    "selfplay train connect_four --minutes 15",
    "selfplay train othello --option size=6 --run runs/small --preset quick",
    "selfplay train mygame.py:MyGame --set search.num_simulations=64 --updates 5000",
)


def train(
    game_name: GameName,
    run_path: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="DIR",
            help="Where everything goes, runs/GAME by default; an existing run is resumed.",
            show_default=False,
        ),
    ] = None,
    minutes: Minutes = None,
    updates: Updates = None,
    simulations: Annotated[
        int | None,
        typer.Option("--simulations", metavar="N", help="Network evaluations per move."),
    ] = None,
    seed: RunSeed = None,
    init_from: InitFrom = None,
    devices: Devices = None,
    preset: Preset = "default",
    config: ConfigFile = None,
    settings: Settings = None,
    option: GameOptions = None,
    profile: Profile = False,
    as_json: Json = False,
) -> None:
    """Train an agent by self-play.

    Ctrl-C saves and stops; the same command goes on.

    Settings: those of the preset, then of the file, then of environment
    variables such as SELFPLAY_SEARCH__NUM_SIMULATIONS, then of --set and the other options.
    """
    asked = {
        "trainer.minutes": minutes,
        "trainer.updates": updates,
        "trainer.seed": seed,
        "search.num_simulations": simulations,
    }
    run_training(
        game_name,
        option,
        run_path,
        preset=preset,
        config=config,
        settings=overrides(settings, asked),
        monitoring=Monitoring(),
        as_json=as_json,
        init_from=init_from,
        devices=devices,
        profile=profile,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Monitoring:
    """How others are told how training goes; see `selfplay.cli.training.monitoring`."""

    port: int | None = None
    host: str = "127.0.0.1"
    log_format: str = "text"


def run_training(
    game_name: str | None,
    option: list[str] | None,
    place: Path | str | None,
    *,
    preset: str,
    config: Path | None,
    settings: list[str],
    monitoring: Monitoring,
    as_json: bool,
    plays: bool = True,
    idle_exit: float = 0.0,
    init_from: str | None = None,
    devices: int | None = None,
    profile: bool = False,
    group: Callable[[], None] = lambda: None,
) -> None:
    """Trains, and says how it went.

    Args:
        game_name: the game; None for that of the run.
        option: options of the game.
        place: the run; None for one named after the game.
        preset: as `read_settings` has it.
        config: likewise.
        settings: likewise.
        monitoring: how others are told.
        as_json: whether to print one document.
        plays: whether this process plays, too.
        idle_exit: seconds without matches after which it ends, if it does not play; 0 for never.
        init_from: whose weights a new run begins with.
        devices: CPU cores to use; None for what suits this machine.
        profile: whether to write a trace of what takes the time.
        peers: makes this process one of several, where it is.
    """
    from rich.console import Console

    from selfplay import startup
    from selfplay.cli.signals import StopSignals
    from selfplay.cli.training.monitoring import monitoring as monitored
    from selfplay.settings import merged, read_sources

    sources = read_sources(preset=preset, file=config, overrides=settings)
    asked = merged(sources)
    with (
        StopSignals() as signals,
        monitored(
            "trainer",
            "loop" if plays else "trainer",
            place or "",
            port=monitoring.port,
            host=monitoring.host,
            log_format=monitoring.log_format,
        ) as monitor,
    ):
        startup.prepare(
            cpu_devices=devices,
            device_memory=startup.LOOP_MEMORY if plays else startup.ROLE_MEMORY,
        )
        group()

        from selfplay.game.rules import search_sees_more
        from selfplay.runtime.trace import traced
        from selfplay.training.session import open_session
        from selfplay.training.trainer import train as run_loop

        def tell(event: str, text: str, message: str, **fields: Any) -> None:
            """Prints `text` for people, or logs `message` and fields for programs."""
            if monitor.logs:
                monitor.event(event, message, **fields)
            else:
                say(text, err=as_json)

        def print_document(update: int | None, finished: bool) -> None:
            if as_json:
                document = _document(session, update, finished=finished)
                say_json(document, indent=None if monitor.logs else 1)

        if not plays and place is not None:
            _wait_for_store(str(place), idle_exit, monitor)
        spec, game = _game(game_name, option, place, init_from)
        place = place or Path("runs") / game.name
        monitor.run = str(place)
        session = open_session(place, spec, game, asked, init_from=init_from)
        if session.fulfilled:
            text = f"has trained {session.fulfilled}; use {session.next_plan} to go on"
            tell("closing", f"{session.run.url} {text}", text, finished=True)
            print_document(session.update, True)
            return
        opening = _opening(session)
        in_force = _in_force(session, sources)
        told = dict([*opening, ("settings", "; ".join(in_force))])
        listed = [("" if index else "settings", text) for index, text in enumerate(in_force)]
        tell("opening", facts([*opening, *listed]), session.beginning, **told)
        if hidden := search_sees_more(game):
            tell("message", hidden, hidden)
        compiling = "compiling, which takes a while the first time"
        tell("message", compiling, compiling)
        reporter = monitor.reporter(Console(stderr=as_json))
        board = session.run.tensorboard_path if profile else None
        with traced(board, reporter.message) as trace:

            def ready(loop: "Trainer") -> None:
                signals.ready(loop.stop, reporter.message)
                if trace is not None and loop.playing is not None:
                    trace.warmed_up = lambda: loop.update > 0
                    loop.playing.trace = trace

            loop = run_loop(
                session.run,
                session.components,
                reporter,
                plays=plays,
                monitor=monitor,
                idle_exit_seconds=idle_exit,
                on_ready=ready,
            )
        finished = not signals.stopped or (loop.planned_fraction or 0) >= 1
        reached = _reached(loop, finished=finished)
        text = _ending(loop, reached, finished=finished, typed=invocation.get())
        tell(
            "closing",
            text,
            " ".join(reached[0]),
            finished=finished,
            update=loop.update,
            checkpoint=loop.saved,
        )
        print_document(loop.update, finished)


def _wait_for_store(place: str, idle_exit: float, monitor: "Monitor") -> None:
    """Waits for a server that is not there yet, as workers do; a directory needs no waiting."""
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
    name: str | None,
    option: list[str] | None,
    place: Path | str | None,
    init_from: str | None,
) -> tuple["GameSpec", "Game[Any]"]:
    """Returns the game that was named, else that of the run, else that of the weights."""
    from selfplay.cli.targets import game_spec
    from selfplay.errors import RunError
    from selfplay.run import RunDirectory, is_run, split_checkpoint_name

    if name is not None:
        spec = game_spec(name, option)
        return spec, spec.make()
    if place is not None and is_run(place):
        run = RunDirectory.open(place)
    elif init_from is not None:
        run = RunDirectory.open(split_checkpoint_name(init_from)[0])
    else:
        raise RunError(
            f"{place} is not a selfplay run",
            hint="name its game: --game GAME, or SELFPLAY_GAME=GAME in the environment",
        )
    return run.game_spec, run.make_game()


def _opening(session: "Session") -> list[tuple[str, str]]:
    """Returns what is trained, and where."""
    from selfplay.runtime.memory_plan import plan_memory

    run = session.run
    options = "".join(f" {name}={value}" for name, value in run.game_spec.options.items())
    parts = session.components
    weights = f"{parts.network.num_weights():,} weights in {parts.inference.kind}"
    plan = plan_memory(parts.game, parts.network, run.config)
    return [
        ("run", f"{run.url} ({session.beginning})"),
        ("game", f"{run.game_name}{options}, network of {weights}"),
        ("devices", _devices(parts.mesh.size, parts.mesh.devices.flat[0].platform)),
        ("memory", f"{plan} planned"),
    ]


def _in_force(session: "Session", sources: Sequence["Source"]) -> list[str]:
    """Returns the settings that differ from the defaults by source, and where all of them are."""
    from selfplay.settings import changed_settings

    run = session.run
    by_source = changed_settings(run.config, sources, stored="stored in the run")
    lines = [
        f"{source}: " + " ".join(f"{name}={_plain(value)}" for name, value in values.items())
        for source, values in by_source.items()
    ]
    file = run.store.label("run.toml")
    if run.config.to_dict() == run.document["config"]:
        return [*(lines or ["the defaults"]), f"all of them: {file}"]
    return [
        *(lines or ["the defaults"]),
        f"all of them: metadata.json of each new checkpoint ({file} has those of the beginning)",
    ]


def _devices(count: int, platform: str) -> str:
    """Returns how many devices share the work, and what their number follows from."""
    from selfplay.machine import device_cores

    text = f"{count} x {platform}"
    chosen = device_cores()
    return f"{text} ({chosen.reason})" if (platform, count) == ("cpu", chosen.count) else text


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def _reached(loop: "Trainer", *, finished: bool) -> list[tuple[str, str]]:
    """Returns what was reached."""
    from selfplay.telemetry import words

    pairs = [
        (
            "finished" if finished else "stopped",
            f"after {words.duration(loop.elapsed)} of training, at update {loop.update:,}",
        ),
        ("saved", f"checkpoint {loop.saved:,} in {loop.run.url}"),
    ]
    if not loop.update:
        pairs.append(("note", "no update was made, so this run has learnt nothing: train longer"))
    for index, one in enumerate(loop.strength.results.values()):
        text = f"{words.score(one)} against {one.opponent} at update {one.update:,}"
        pairs.append(("" if index else "strength", text))
    if loop.update and not loop.strength.results and loop.evaluates:
        pairs.append(("strength", "not measured in this time; selfplay arena, below, measures it"))
    if rates := loop.strength.mistakes.rates:
        share, *parts = words.mistakes(rates)
        text = f"{share} at update {rates[0].update:,}"
        pairs += [("mistakes", text), ("", ", ".join(parts))]
    return pairs


def _ending(
    loop: "Trainer", reached: list[tuple[str, str]], *, finished: bool, typed: Invocation
) -> str:
    """Returns what was reached and what to do next."""
    from selfplay.store.place import typed as as_typed

    run = as_typed(loop.run.url)
    commands = [f"play {run}", f"arena {run} mcts:1000", f'analyze {run} --moves ""']
    lines = [facts(reached)]
    # Commands are not wrapped: they are there to be copied.
    if not finished:
        lines += ["go on with:", f"  {typed.program} {shlex.join(typed.arguments)}"]
    lines += ["next:" if finished else "or try:"]
    lines += [f"  {typed.program} {command}" for command in commands]
    return "\n".join(lines)


def _document(session: "Session", update: int | None, *, finished: bool) -> dict[str, Any]:
    """Returns what `--json` prints at the end."""
    from selfplay.reports.status import run_status

    document = run_status(session.run.url)
    return {**document, "update": update, "finished": finished}
