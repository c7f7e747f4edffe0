"""selfplay train: the whole loop on this machine."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.group import Invocation, invocation
from selfplay.cli.options import (
    ConfigFile,
    GameName,
    GameOptions,
    Json,
    Preset,
    Settings,
)
from selfplay.cli.output import facts, say, say_json

if TYPE_CHECKING:
    from selfplay.processes.loop import Loop
    from selfplay.processes.session import Session

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
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="M", help="Planned length; by default no end."),
    ] = None,
    updates: Annotated[
        int | None,
        typer.Option("--updates", metavar="N", help="Planned length in updates."),
    ] = None,
    simulations: Annotated[
        int | None,
        typer.Option("--simulations", metavar="N", help="Network evaluations per move."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Decides everything random.")
    ] = None,
    preset: Preset = "default",
    config: ConfigFile = None,
    settings: Settings = None,
    option: GameOptions = None,
    as_json: Json = False,
) -> None:
    """Train an agent by self-play.

    Ctrl-C saves and stops; the same command goes on.

    Settings: those of the preset, then of the file, then of environment
    variables such as SELFPLAY_SEARCH__NUM_SIMULATIONS, then of --set and the other options.
    """
    from rich.console import Console

    from selfplay import startup
    from selfplay.cli.signals import StopSignals
    from selfplay.cli.targets import game_spec
    from selfplay.run import read_settings

    wanted = {
        "trainer.minutes": minutes,
        "trainer.updates": updates,
        "trainer.seed": seed,
        "search.num_simulations": simulations,
    }
    overrides = [f"{name}={value}" for name, value in wanted.items() if value is not None]
    asked = read_settings(preset=preset, file=config, overrides=[*(settings or ()), *overrides])
    with StopSignals() as signals:
        startup.prepare()

        from selfplay.processes.loop import train as run_loop
        from selfplay.processes.session import open_session
        from selfplay.telemetry import make_reporter

        spec = game_spec(game_name, option)
        game = spec.make()
        session = open_session(run_path or Path("runs") / game.name, spec, game, asked)
        if session.fulfilled:
            say(
                f"{session.run.path} has trained {session.fulfilled}; "
                f"use {session.next_plan} to go on",
                err=as_json,
            )
            if as_json:
                say_json(_document(session, session.update, finished=True))
            return
        say(facts(_opening(session)), err=as_json)
        say("compiling, which takes a while the first time", err=as_json)
        reporter = make_reporter(Console(stderr=as_json))
        loop = run_loop(
            session.run,
            session.parts,
            reporter,
            on_ready=lambda loop: signals.ready(loop.stop, reporter.message),
        )
        finished = not signals.stopped or (loop.planned_fraction or 0) >= 1
    say(_ending(loop, finished=finished, typed=invocation.get()), err=as_json)
    if as_json:
        say_json(_document(session, loop.update, finished=finished))


def _opening(session: "Session") -> list[tuple[str, str]]:
    """Returns what is trained, where, and with which settings."""
    from selfplay.run import Config
    from selfplay.telemetry import words

    run = session.run
    defaults = Config().to_dict()
    changed = [
        f"{section}.{key}={_plain(value)}"
        for section, values in run.config.to_dict().items()
        for key, value in values.items()
        if value != defaults[section][key]
    ]
    options = "".join(f" {name}={value}" for name, value in run.game_spec.options.items())
    origin = "new"
    if session.update is not None:
        trained = words.duration(session.elapsed_seconds)
        origin = f"goes on from checkpoint {session.update:,}, after {trained} of training"
    weights = f"{session.parts.network.num_weights():,} weights"
    return [
        ("run", f"{run.path} ({origin})"),
        ("game", f"{run.game_name}{options}, network of {weights}"),
        ("settings", " ".join(changed) or "the defaults"),
    ]


def _plain(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def _ending(loop: "Loop", *, finished: bool, typed: Invocation) -> str:
    """Returns what was reached and what to do next."""
    from selfplay.telemetry import words

    pairs = [
        (
            "finished" if finished else "stopped",
            f"after {words.duration(loop.elapsed)} of training, at update {loop.update:,}",
        ),
        ("saved", f"checkpoint {loop.saved:,} in {loop.run.path}"),
    ]
    for index, one in enumerate(loop.strength.results.values()):
        text = f"{words.score(one)} against {one.opponent} at update {one.update:,}"
        pairs.append(("" if index else "strength", text))
    run = shlex.quote(str(loop.run.path))
    commands = [f"play {run}", f"arena {run} mcts:1000", f'analyze {run} --moves ""']
    lines = [facts(pairs)]
    # Commands are not wrapped: they are there to be copied.
    if not finished:
        lines += ["go on with:", f"  {typed.program} {shlex.join(typed.arguments)}"]
    lines += ["next:" if finished else "or try:"]
    lines += [f"  {typed.program} {command}" for command in commands]
    return "\n".join(lines)


def _document(session: "Session", update: int | None, *, finished: bool) -> dict[str, Any]:
    """Returns what `--json` prints at the end."""
    from selfplay.processes.status import run_status

    document = run_status(session.run.path)
    return {**document, "update": update, "finished": finished}
