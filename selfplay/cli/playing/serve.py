"""selfplay serve: the web board and the HTTP API."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from selfplay.cli.options import Devices, GameOptions
from selfplay.cli.output import say
from selfplay.errors import ConfigError, MissingExtraError

EXAMPLES = (
    "selfplay serve connect_four --open",
    "selfplay serve runs/connect_four",
    "selfplay serve runs --host 0.0.0.0 --token SECRET",
    "selfplay serve runs/connect_four --allow-control",
    'selfplay serve go_9x9 --engine "gtp:gnugo --mode gtp --chinese-rules"',
)
_FOLDER = "runs"


def serve(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN | GAME | FOLDER]",
            help="A run, a game, or a folder of runs; by default the folder runs, or, if there is "
            "none, every game that has a name.",
            envvar="SELFPLAY_RUN",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", help="The port; 0 for any free port.")
    ] = 8765,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="The address to listen on; 0.0.0.0 for all interfaces.",
        ),
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A host name that browsers may use, besides localhost. May be repeated.",
            show_default=False,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="TEXT",
            help="The token that requests must carry; generated if others can reach the server.",
            envvar="SELFPLAY_TOKEN",
            show_default=False,
        ),
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Require no token, whatever the address.")
    ] = False,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the page in a browser.")
    ] = False,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            "--engine",
            metavar="AGENT",
            help="A program as an opponent: gtp:COMMAND or uci:COMMAND. May be repeated.",
            show_default=False,
        ),
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(
            "--share",
            metavar="AGENT=SHARE",
            help="An agent for requests that name none, and its share of them, such as "
            "RUN@1200=0.1; repeat it to compare agents. GET /api/v1/results counts the results.",
            show_default=False,
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="FILE",
            help="Where these counts are kept; by default in the user's cache directory.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Start even if the run does not exist yet.")
    ] = False,
    most_simulations: Annotated[
        int,
        typer.Option(
            "--max-simulations",
            metavar="N",
            help="The most simulations that one request may ask for.",
        ),
    ] = 4096,
    allow_control: Annotated[
        bool,
        typer.Option(
            "--allow-control",
            help="Let visitors stop the trainer, workers and evaluators of a run, which save what "
            "they have; without it runs are only read.",
        ),
    ] = False,
    option: GameOptions = None,
    devices: Devices = None,
) -> None:
    """Play, analyse and watch in a browser.

    The page loads nothing from other servers. A run may be in training. Anyone who can reach the
    port can request searches: by default only this machine.
    """
    _check_installed()
    import contextlib
    import secrets

    from selfplay import startup
    from selfplay.cli.signals import StopSignals
    from selfplay.serve.analysis.shares import parse_share
    from selfplay.serve.security import is_loopback
    from selfplay.serve.server import address, open_port, run_server

    if token is not None and no_token:
        raise ConfigError("--token and --no-token are both given")
    if allow_control and no_token and not is_loopback(host):
        raise ConfigError(
            f"--allow-control and --no-token are both given, but others can reach --host {host}",
            hint="leave out --no-token: whoever has the token may stop processes",
        )
    if token is None and not no_token and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    if token is not None and not token.strip():
        raise ConfigError("--token is empty", hint="leave it out to get a generated one")
    shares = [parse_share(text) for text in share or []]
    # First, so that a port in use is reported at once.
    listening = open_port(host, port)
    with contextlib.closing(listening), StopSignals(does="ends the server") as signals:
        startup.prepare(cpu_devices=devices)
        from selfplay.serve.app import create_app

        library, title = _library(target, option, engine or [], most_simulations, wait)
        hosts: list[str] | None = ["localhost", *(allow_host or [])]
        if not is_loopback(host):
            hosts = [*hosts, host, *_own_names()] if hosts else None
        if "*" in (allow_host or []):
            hosts = None
        app = create_app(
            library,
            title=title,
            hosts=hosts,
            token=token,
            shares=shares,
            results=_results_file(results, target or title),
            warm=True,
            allow_control=allow_control,
        )
        url = address(listening, host)
        page = url if token is None else f"{url}#token={token}"

        def started(stop: Any) -> None:
            signals.ready(stop, lambda text: say(text, err=True))
            say(f"selfplay serves {title} at {page}")
            if open_browser:
                import webbrowser

                webbrowser.open(page)

        run_server(app, listening, on_start=started)


def _check_installed() -> None:
    import importlib.util

    for package in ("starlette", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(
                f"the Python package {package} is not installed",
                hint='pip install "selfplay-jax[web]"',
            )


def _results_file(path: Path | None, served: str) -> Any:
    """Returns what keeps the counts; None, with a note, where they cannot be kept by default."""
    from selfplay.errors import StorageError
    from selfplay.serve.analysis.results_file import ResultsFile, default_results_path

    try:
        place = os.path.abspath(served) if os.path.exists(served) else served
        found = ResultsFile(path or default_results_path(place))
    except StorageError as error:
        if path is not None:
            raise
        say(f"note: results of visitors are not kept: {error}", err=True)
        return None
    return found


def _own_names() -> list[str]:
    import socket

    return [name for name in {socket.gethostname(), socket.getfqdn()} if name]


def _library(
    target: str | None,
    option: list[str] | None,
    engines: list[str],
    simulations: int,
    wait: bool,
) -> tuple[Any, str]:
    """Returns what to serve, and its title."""
    from selfplay.arena import parse_engine
    from selfplay.cli.targets import game_spec, named_run
    from selfplay.configuration import check_range
    from selfplay.registry import game_names
    from selfplay.serve.analysis.agents import BUDGETS
    from selfplay.serve.library import Library, Limits
    from selfplay.store import is_remote

    check_range("--max-simulations", simulations, low=2, high=BUDGETS[-1])
    for text in engines:
        parse_engine(text)
    common: dict[str, Any] = {"engines": engines, "limits": Limits(simulations=simulations)}
    if target is None:
        if os.path.isdir(_FOLDER):
            target = _FOLDER
        else:
            games = [(name, game_spec(name, None)) for name in game_names()]
            return Library(games=games, **common), "the games of selfplay"
    run = named_run(target)
    if run is not None:
        return Library(runs=[run], **common), str(run)
    if wait:
        return Library(awaited=[target], **common), target
    if not is_remote(target) and Path(target).is_dir():
        return Library(folder=Path(target), **common), f"the runs in {target}"
    from selfplay.cli.targets import make_game

    game = make_game(target, option)
    spec = game_spec(target, option)
    return Library(games=[(game.name, spec)], **common), game.name
