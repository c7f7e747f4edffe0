"""selfplay rerun: makes a checkpoint again from the matches that it learnt from."""

import time
from typing import Annotated

import typer

from selfplay.cli.options import Devices, Json, MovedGame
from selfplay.cli.output import facts, say, say_json

_SECONDS_BETWEEN_LINES = 10.0

EXAMPLES = (
    "selfplay rerun runs/connect_four",
    "selfplay rerun runs/connect_four@12000 --from 8000",
)


def rerun(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN[@UPDATE]",
            help="A run, for its newest checkpoint, or a checkpoint.",
            show_default=False,
        ),
    ],
    start: Annotated[
        int | None,
        typer.Option(
            "--from",
            metavar="UPDATE",
            help="Start at this checkpoint; by default at the beginning of the run.",
            show_default=False,
        ),
    ] = None,
    devices: Devices = None,
    game: MovedGame = None,
    as_json: Json = False,
) -> None:
    """Make a checkpoint again from its stored matches, and compare.

    Takes in the same matches in the same order and makes the same updates. On as many devices as
    the trainer had, the result is equal bit for bit. Plays and writes nothing. The exit code is 0
    if the two checkpoints are equal, else 1.
    """
    from selfplay import startup

    startup.prepare(cpu_devices=devices)
    from selfplay.cli.targets import moved_game
    from selfplay.errors import RunError
    from selfplay.reports.rerun import largest_difference
    from selfplay.reports.rerun import rerun as make_again
    from selfplay.run import RunDirectory, find_checkpoint

    place, update = find_checkpoint(source)
    run = RunDirectory.open(place)
    begin = time.monotonic()
    told = begin

    def progress(reached: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            say(f"update {reached:,} of {update:,}", err=True)

    learning = make_again(run, update, start=start, game=moved_game(game), progress=progress)
    difference = largest_difference(learning, update)
    document = {
        "run": run.url,
        "update": update,
        "from": start or 0,
        "matches": learning.cursor.matches,
        "equal": difference == 0.0,
        "largest_difference": difference,
        "seconds": round(time.monotonic() - begin, 3),
    }
    if as_json:
        say_json(document)
    else:
        made = f"update {update:,}, {learning.cursor.matches:,} matches, from {start or 0:,}"
        pairs = [("made again", made)]
        if difference == 0.0:
            pairs.append(("compared", f"equal to checkpoint {update:,} of {run.url}, bit for bit"))
        say(facts(pairs))
    if difference:
        raise RunError(
            f"the state made again differs from checkpoint {update} of {run.url} by up to "
            f"{difference:.3g}",
            hint="use the version of selfplay that trained it, and as many devices as the "
            "trainer had: --devices N",
        )
