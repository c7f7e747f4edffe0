"""selfplay worker: plays matches for a run that is trained elsewhere."""

from typing import Annotated, Any

import typer

from selfplay.cli.option_groups import with_option_groups
from selfplay.cli.options import Json
from selfplay.cli.output import say_json
from selfplay.cli.training.joining import JoiningOptions, listening
from selfplay.cli.training.monitoring import MonitoringOptions, Profile

EXAMPLES = (
    "selfplay worker --run runs/connect_four",
    "selfplay worker --run runs/connect_four --max-seconds 3600 --idle-exit 600",
    "selfplay worker --run runs/mine --game games/mine.py",
    "selfplay worker --run s3://bucket/run --set rollout.matches_per_device=256",
    "selfplay worker --run runs/connect_four --set search.inference=xla",
)


@with_option_groups
def worker(
    *,
    joining: JoiningOptions,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            help="Seed of all random numbers; by default that of the run.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Play, but store nothing.")] = False,
    jitter: Annotated[
        float,
        typer.Option(
            "--jitter",
            metavar="S",
            help="Start after a random time up to this, so that workers do not all fetch at once.",
        ),
    ] = 3.0,
    monitoring: MonitoringOptions,
    profile: Profile = False,
    as_json: Json = False,
) -> None:
    """Play matches for a run.

    Waits for the run and its first checkpoint, plays with the newest checkpoint, and stores every
    finished match. The settings come from the run; a worker chooses only search.inference,
    rollout.matches_per_device and rollout.plies_per_chunk for its machine. Ctrl-C or SIGTERM ends
    it within ten seconds.
    """
    from selfplay import startup
    from selfplay.configuration import check_range

    lifetime = joining.lifetime()
    check_range("--jitter", jitter, low=0)
    with listening(
        *("worker", joining, lifetime),
        does="stores the matches that are finished",
        monitored=monitoring,
    ) as listeners:
        asked = joining.asked_settings()
        startup.prepare(cpu_devices=joining.devices, device_memory=startup.SHARED_MEMORY)

        from selfplay.cli.targets import moved_game
        from selfplay.workers.work import work
        from selfplay.workers.worker import WorkerOptions

        options = WorkerOptions(
            id=joining.id,
            game=moved_game(joining.game),
            seed=seed,
            settings=asked,
            dry_run=dry_run,
            profile=profile,
            jitter_seconds=jitter,
        )
        worker = work(joining.run, options, lifetime, listeners)
        document: dict[str, Any] = {
            "run": joining.run,
            "id": None,
            "ended": lifetime.reason,
            "matches": 0,
        }
        if worker is not None:
            document |= {**worker.fields(), "id": worker.id}
        listeners.say(f"ended: {lifetime.reason}, {document['matches']:,} matches played")
    if as_json:
        say_json(document, indent=None if monitoring.log_format == "json" else 1)
