"""selfplay launch: starts the trainer and the other processes of a run on an engine."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.option_groups import with_option_groups
from selfplay.cli.options import GameOfRun, Json
from selfplay.cli.output import facts, say, say_json, table
from selfplay.cli.training.launch_options import EngineOptions, ResourceOptions
from selfplay.cli.training.run_training import TrainingOptions

if TYPE_CHECKING:
    from selfplay.fleet.backends import LaunchOptions
    from selfplay.fleet.fleet import Fleet

EXAMPLES = (
    "selfplay launch runs/first --game connect_four --workers 4 --evaluators 1",
    "selfplay launch runs/first --game connect_four --workers 4 --detach",
    "selfplay launch /shared/runs/first --game connect_four --workers 32 --on slurm",
    "selfplay launch --status runs/first",
    "selfplay launch --stop runs/first",
)


@with_option_groups
def launch(
    *,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A directory or a URL; an existing run is resumed, otherwise it is created.",
        ),
    ],
    game_name: GameOfRun = None,
    resources: ResourceOptions,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="ENGINE",
            help="What runs the fleet: local (the default), kubernetes, ray or slurm.",
            show_default=False,
        ),
    ] = None,
    training: TrainingOptions,
    engine: EngineOptions,
    print_only: Annotated[
        bool, typer.Option("--print", help="Show what would be started, and start nothing.")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Show the fleet of RUN, and start nothing.")
    ] = False,
    stop: Annotated[
        bool, typer.Option("--stop", help="End the fleet of RUN: every process saves.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a run with a trainer, workers and evaluators.

    Starts all processes of a run, keeps them running, and ends them together. Ctrl-C ends the
    fleet: every process saves. The same command resumes the run.
    """
    from selfplay.configuration import check_choice
    from selfplay.errors import ConfigError
    from selfplay.fleet.backends import BACKENDS, make_backend

    if sum((print_only, status, stop)) > 1:
        raise ConfigError("--print, --status and --stop exclude each other", hint="give one")
    if status or stop:
        (_show_status if status else _stop)(run, as_json)
        return
    on = on or "local"
    check_choice("--on", on, tuple(BACKENDS))
    backend = make_backend(on)
    options = engine.launch_options(on, backend.takes)
    fleet = _fleet(run, game_name, resources, training, on)
    from selfplay.fleet.checks import check_run

    check_run(fleet, look=backend.sees_run)
    if print_only:
        text = backend.shown(fleet, options)
        if as_json:
            say_json({"run": fleet.run, "on": on, "fleet": fleet.to_dict(), "shown": text})
        else:
            say(text)
        return
    _start(fleet, on, options, as_json)


def _fleet(
    run: str, game: str | None, resources: ResourceOptions, training: TrainingOptions, on: str
) -> "Fleet":
    from selfplay.configuration import check_range
    from selfplay.fleet.request import make_fleet

    check_range("--devices", training.devices or 1, low=1)
    cpus = list(resources.cpus or ())
    if training.devices is not None:
        cpus.insert(0, f"trainer={training.devices}")
    return make_fleet(
        run=run,
        game=game,
        options=training.option or (),
        preset=training.preset,
        config=training.config,
        settings=training.overrides({}),
        worker_settings=resources.worker_settings or (),
        init_from=training.init_from,
        trainer_hosts=resources.trainer_hosts,
        workers=resources.workers,
        evaluators=resources.evaluators,
        reanalyzers=resources.reanalyzers,
        cpus=cpus,
        gpus=resources.gpus or (),
        memory=resources.memory or (),
    )


def _start(fleet: "Fleet", on: str, options: "LaunchOptions", as_json: bool) -> None:
    """Launches, and waits for the end where the engine is this process."""
    from selfplay.cli.signals import StopSignals
    from selfplay.fleet.backends import make_backend
    from selfplay.fleet.follow import Follower
    from selfplay.fleet.record import Record
    from selfplay.fleet.status import check_not_elsewhere

    record = Record(fleet.run)
    check_not_elsewhere(record, on)
    lock = threading.Lock()

    def tell(text: str) -> None:
        with lock:
            say(text, err=as_json)

    def follow(line: str) -> None:
        tell(f"trainer | {line}")

    stopping = StopSignals(does="every process saves and ends")
    with _stdout_for_us_alone(as_json), stopping as signals:

        def on_stop(stop: Callable[[], None]) -> None:
            signals.ready(stop, tell)

        log = (options.logs or record.logs) / "trainer.log"
        if on == "local" and not options.detach:
            with Follower(log, follow):
                result = make_backend(on).launch(record, fleet, options, tell, on_stop)
        else:
            result = make_backend(on).launch(record, fleet, options, tell, on_stop)
    if as_json:
        say_json(dict(result.document))
    else:
        say(result.text)
    if result.error:
        from selfplay.errors import RunError

        raise RunError(result.error, hint=result.hint)


@contextlib.contextmanager
def _stdout_for_us_alone(as_json: bool) -> Iterator[None]:
    """Sends what libraries print to stderr, where stdout is for one JSON document.

    Ray prints there when a node is lost.
    """
    if not as_json:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _stop(run: str, as_json: bool) -> None:
    from selfplay.fleet.backends import make_backend
    from selfplay.fleet.record import Record
    from selfplay.fleet.status import no_fleet

    record = Record(run)
    document = record.read()
    if document is None:
        raise no_fleet(record)

    def tell(text: str) -> None:
        say(text, err=as_json)

    with _stdout_for_us_alone(as_json):
        done = make_backend(document["on"]).stop(record, document, tell)
    if as_json:
        say_json({"run": record.run, "on": document["on"], "stopped": done})
    else:
        say(done)


def _show_status(run: str, as_json: bool) -> None:
    from selfplay.fleet.status import fleet_status

    with _stdout_for_us_alone(as_json):
        document = fleet_status(run)
    if as_json:
        say_json(document)
        return
    state = {True: "runs", False: "does not run", None: "unknown from here"}[document["alive"]]
    pairs = [("run", document["run"]), ("engine", str(document["on"] or "-")), ("fleet", state)]
    if document.get("ended"):
        pairs.append(("ended", document["ended"]))
    pairs.append(("record", document["folder"]))
    if document["store_error"]:
        pairs.append(("problem", document["store_error"]))
    say(facts(pairs))
    if document["processes"]:
        header = ["process", "state", "pid or job", "restarts", "log"]
        say("\n" + table(header, [_process_row(one) for one in document["processes"]]))
    if document["heartbeats"]:
        header = ["heard of", "alive", "host", "matches/s", "seconds ago", "does"]
        say("\n" + table(header, [_beat_row(one) for one in document["heartbeats"]]))


def _process_row(process: dict[str, Any]) -> list[str]:
    where = process.get("job") or process.get("pid")
    return [
        process["name"],
        process["state"],
        "-" if where is None else str(where),
        str(process.get("restarts", "-")),
        str(process.get("log") or "-"),
    ]


def _beat_row(beat: dict[str, Any]) -> list[str]:
    rate = beat["matches_per_second"]
    return [
        f"{beat['role']} {beat['id']}",
        "yes" if beat["alive"] else "no",
        beat["host"],
        "-" if rate is None else f"{rate:,.1f}",
        f"{beat['seconds_ago']:.0f}",
        str(beat["state"] or "-"),
    ]
