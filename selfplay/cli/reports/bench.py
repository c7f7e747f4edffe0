"""selfplay bench: measures how fast this machine plays and learns."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.options import ConfigFile, Devices, GameName, GameOptions, Json, Preset, Settings
from selfplay.cli.output import facts, say, say_json, size, table
from selfplay.cli.training.monitoring import Profile

if TYPE_CHECKING:
    from selfplay.checkpoints import Checkpoints
    from selfplay.game import Game
    from selfplay.settings import Config

EXAMPLES = (
    "selfplay bench connect_four",
    "selfplay bench connect_four --batches 64,128,256",
    "selfplay bench connect_four --set network.blocks=6 --set network.channels=64 --json",
)


def bench(
    game_name: GameName,
    seconds: Annotated[
        float,
        typer.Option("--seconds", metavar="S", help="How long to measure, after compilation."),
    ] = 30.0,
    batches: Annotated[
        str | None,
        typer.Option(
            "--batches",
            metavar="N,N,...",
            help="Measure self-play alone, with these numbers of matches side by side.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="RUN", help="Use the weights and settings of a run."),
    ] = None,
    devices: Devices = None,
    preset: Preset = "default",
    config: ConfigFile = None,
    settings: Settings = None,
    option: GameOptions = None,
    profile: Profile = False,
    as_json: Json = False,
) -> None:
    """Measure self-play, network and updates.

    Measures the three in turn and shows medians. The weights are fresh unless you name a run: a
    trained network searches other positions, at another speed. A trace goes into profile/GAME.
    """
    from selfplay import startup
    from selfplay.cli.targets import make_game
    from selfplay.configuration import check_range
    from selfplay.reports.bench import bench as measure
    from selfplay.run import RunDirectory
    from selfplay.runtime.process_config import process_config
    from selfplay.settings import Config, read_settings

    check_range("--seconds", seconds, above=0)
    checkpoints = None
    asked = read_settings(preset=preset, file=config, overrides=settings or ())
    loaded = Config.from_dict(asked)
    if run is not None:
        opened = RunDirectory.open(run)
        checkpoints = opened.checkpoints
        loaded = opened.config.updated(asked)
    batch_sizes = None if batches is None else _numbers(batches)
    startup.prepare(cpu_devices=devices, device_memory=startup.ALONE_MEMORY)
    game = make_game(game_name, option)
    loaded = process_config(
        loaded,
        asked,
        named=loaded.search.inference,
        say=lambda text: say(f"note: {text}", err=True),
    )
    if batch_sizes is not None:
        _by_batch(game, loaded, batch_sizes, checkpoints, seconds, as_json)
        return
    result = measure(
        game, loaded, checkpoints=checkpoints, seconds=seconds,
        trace=Path("profile") / game.name if profile else None,
        say=lambda text: say(text, err=True),
    )  # fmt: skip
    if as_json:
        say_json(result)
    else:
        say(facts(_facts(result)))


def _by_batch(
    game: "Game[Any]",
    config: "Config",
    batches: list[int],
    checkpoints: "Checkpoints | None",
    seconds: float,
    as_json: bool,
) -> None:
    """Measures self-play for several batches and prints a table."""
    from selfplay.reports.bench_play import bench_batches

    result = bench_batches(
        game,
        config,
        batches,
        checkpoints=checkpoints,
        seconds=seconds,
        say=lambda text: say(text, err=True),
    )
    if as_json:
        say_json(result)
        return
    what = f"{result['game']}, {result['simulations']} simulations a move, {result['inference']}"
    say(f"{what}; {result['devices']} x {result['device']}, {result['date']}")
    header = ["matches", "simulations/s", "lowest", "highest", "evaluations/s", "matches/s"]
    rows = [
        [
            str(row["batch"]),
            *(
                f"{value:,.0f}"
                for value in (
                    row["simulations_per_second"],
                    *row["spread"],
                    row["evaluations_per_second"],
                )
            ),
            f"{row['matches_per_second']:,.1f}",
        ]
        for row in result["batches"]
    ]
    say(table(header, rows))


def _numbers(text: str) -> list[int]:
    """Returns the numbers of "64,128,256".

    Raises:
        ConfigError: it is something else.
    """
    from selfplay.errors import ConfigError

    numbers = [part.strip() for part in text.split(",")]
    if not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise ConfigError(
            f"--batches is {text!r}, but must be whole numbers above 0, separated by commas",
            hint="for example: --batches 64,128,256",
        )
    return [int(number) for number in numbers]


def _facts(result: dict[str, Any]) -> list[tuple[str, str]]:
    from selfplay.telemetry import words

    low, high = result["spread"]
    return [
        ("game", f"{result['game']}, {size(result['state_bytes'])} a position"),
        ("network", f"{result['network']}, {result['weights']:,} weights"),
        (
            "inference",
            f"{result['inference']}; {result['computed_share']:.0%} of the positions asked for "
            "were computed",
        ),
        ("devices", f"{result['devices']} x {result['device']}, {result['date']}"),
        (
            "self-play",
            f"{words.rate(result['simulations_per_second'], 'simulations')} "
            f"(median of {result['rounds']} rounds, {low:,.0f} to {high:,.0f}); "
            f"{words.rate(result['matches_per_second'], 'matches')}; "
            f"{result['batch']} matches side by side, {result['simulations']} simulations a move",
        ),
        (
            "network alone",
            f"{result['forwards_per_second']:,.0f} positions/s on one device while the others "
            f"rest, {result['forwards_per_second_together']:,.0f} on each while all are busy "
            f"(batch {result['forward_batch']})",
        ),
        (
            "ratio",
            f"{result['ratio']:.2f} simulations for each position that the devices could evaluate "
            "if each were as fast as one alone",
        ),
        (
            "updates",
            f"{words.rate(result['updates_per_second'], 'updates')} "
            f"of {result['learner_batch']} samples",
        ),
        ("compilation", f"{result['compile_seconds']:.1f} s for self-play, less if cached"),
        ("peak memory", size(result["peak_memory_bytes"])),
    ]
