"""selfplay reanalyze: searches stored matches of a run again with newer weights."""

import dataclasses
from typing import Annotated, Any

import typer

from selfplay.cli.option_groups import with_option_groups
from selfplay.cli.options import Json
from selfplay.cli.output import say_json
from selfplay.cli.training.joining import JoiningOptions, listening
from selfplay.cli.training.monitoring import MonitoringOptions

EXAMPLES = (
    "selfplay reanalyze runs/connect_four",
    "selfplay reanalyze runs/connect_four --share 0.5 --max-seconds 3600",
    "selfplay reanalyze runs/connect_four --checkpoint 12000 --positions 8",
    "selfplay reanalyze runs/connect_four --from runs/other",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReanalyzeOptions(JoiningOptions):
    """The options of a process that joins a run which it is given first."""

    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A directory or a URL that the trainer can reach too. It need not exist yet.",
            envvar="SELFPLAY_RUN",
            show_default=False,
        ),
    ]


@with_option_groups
def reanalyze(
    *,
    joining: ReanalyzeOptions,
    checkpoint: Annotated[
        int | None,
        typer.Option(
            "--checkpoint",
            metavar="U",
            help="Search with the weights of this update, and end when all is searched; by default "
            "with the newest, and newer ones as they come.",
            show_default=False,
        ),
    ] = None,
    share: Annotated[
        float,
        typer.Option(
            "--share", metavar="S", help="Share of the positions of each match that is searched."
        ),
    ] = 1.0,
    positions: Annotated[
        int,
        typer.Option(
            "--positions",
            metavar="N",
            help="Positions of each match that are searched, instead of a share; 0 for the share.",
        ),
    ] = 0,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="FILES",
            help="Search matches from elsewhere and add them to the run, then end: a Parquet file "
            "of matches, a folder of them, or a run. May be repeated.",
            show_default=False,
        ),
    ] = None,
    monitoring: MonitoringOptions,
    as_json: Json = False,
) -> None:
    """Search stored matches of a run again, for newer targets.

    Takes matches of the replay window, searches their positions with the newest weights, and stores
    what it finds; the trainer learns from the newest target of each position. It may run beside
    trainer and workers, several at once, and after training. Ctrl-C or SIGTERM ends it within ten
    seconds.
    """
    from selfplay import startup
    from selfplay.configuration import check_range
    from selfplay.errors import ConfigError

    lifetime = joining.lifetime()
    check_range("--share", share, above=0, high=1)
    check_range("--positions", positions, low=0)
    if positions and share < 1:
        raise ConfigError(
            "--positions and --share are both given",
            hint="name the positions of each match, or the share of them",
        )
    with listening(
        *("reanalyzer", joining, lifetime),
        does="drops the search in progress",
        monitored=monitoring,
    ) as listeners:
        asked = joining.asked_settings()
        startup.prepare(cpu_devices=joining.devices, device_memory=startup.SHARED_MEMORY)

        from selfplay.cli.targets import moved_game
        from selfplay.workers.reanalyze import reanalyze as work
        from selfplay.workers.reanalyzer import ReanalyzerOptions

        options = ReanalyzerOptions(
            id=joining.id,
            game=moved_game(joining.game),
            settings=asked,
            checkpoint=checkpoint,
            share=share,
            positions=positions,
            sources=tuple(sources or ()),
        )
        found = work(joining.run, options, lifetime, listeners)
        document: dict[str, Any] = {
            "run": joining.run,
            "id": None,
            "ended": lifetime.reason,
            "matches": 0,
            "positions": 0,
        }
        if found is not None:
            done = {"matches": found.matches, "positions": found.positions}
            document |= {**found.fields(), "id": found.id, **done}
        listeners.say(
            f"ended: {lifetime.reason}, {document['positions']:,} positions of "
            f"{document['matches']:,} matches searched again"
        )
    if as_json:
        say_json(document, indent=None if monitoring.log_format == "json" else 1)
