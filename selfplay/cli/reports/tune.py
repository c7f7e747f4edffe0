"""selfplay tune: finds the fastest settings for this machine."""

from pathlib import Path
from typing import Annotated

import typer

from selfplay.cli.options import ConfigFile, GameName, GameOptions, Json, Preset, Settings
from selfplay.cli.output import facts, say, say_json

EXAMPLES = (
    "selfplay tune connect_four --output fast.toml",
    "selfplay train connect_four --config fast.toml",
)


def tune(
    game_name: GameName,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="Write the settings into a file for --config."
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", help="Approximate time to measure.")
    ] = 60.0,
    preset: Preset = "default",
    config: ConfigFile = None,
    settings: Settings = None,
    option: GameOptions = None,
    as_json: Json = False,
) -> None:
    """Find the fastest inference and batch.

    Tries the backends that compute the network, then numbers of matches side by side.
    """
    from selfplay import startup
    from selfplay.cli.targets import make_game
    from selfplay.configuration import check_range
    from selfplay.errors import ConfigError
    from selfplay.reports.tune import tune as find
    from selfplay.settings import load_config, write_settings

    check_range("--seconds", seconds, above=0)
    if output is not None and output.exists():
        raise ConfigError(f"{output} exists already", hint="choose another --output")
    loaded = load_config(preset=preset, file=config, overrides=settings or ())
    startup.prepare(device_memory=startup.ALONE_MEMORY)
    game = make_game(game_name, option)
    found = find(game, loaded, seconds=seconds, say=lambda text: say(text, err=True))
    if output is not None:
        write_settings(output, found["settings"])
    if as_json:
        say_json(found)
        return
    say(
        facts(
            [
                (
                    f"{row['inference']}, {row['matches_per_device']} a device",
                    f"{row['simulations_per_second']:,.0f} simulations/s",
                )
                for row in found["tried"]
            ]
        )
    )
    chosen = [
        f"--set {section}.{key}={value}"
        for section, values in found["settings"].items()
        for key, value in values.items()
    ]
    faster = found["times_default"]
    say(
        f"\nfastest: {' '.join(chosen)}"
        + (f", {faster:.2f} times the settings given" if faster else "")
    )
    if output is not None:
        say(f"written to {output}: use it with --config {output}")
