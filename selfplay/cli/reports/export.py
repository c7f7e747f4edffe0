"""selfplay export: the network of a checkpoint as one file for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from selfplay.cli.options import Json, MovedGame
from selfplay.cli.output import facts, say, say_json, size

EXAMPLES = (
    "selfplay export runs/connect_four connect_four.onnx",
    "selfplay export runs/connect_four@12000 connect_four.stablehlo",
)


def export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN[@UPDATE]",
            help="A run, for its newest checkpoint, or a checkpoint.",
            show_default=False,
        ),
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A new file: NAME.onnx for ONNX, NAME.stablehlo for jax.export.",
            show_default=False,
        ),
    ],
    game: MovedGame = None,
    as_json: Json = False,
) -> None:
    """Write the network of a checkpoint for other programs.

    The file has the weights that play, without optimiser, search or rules. The network takes
    observations and returns logits of all actions, illegal ones included, and the expected result
    for the player to move.
    """
    from selfplay import startup

    startup.prepare()
    from selfplay.cli.targets import moved_game
    from selfplay.reports.export import export_checkpoint

    made = export_checkpoint(source, file, game=moved_game(game))
    stored = made.stored
    if as_json:
        say_json(
            {
                "file": str(file),
                "format": made.format,
                "bytes": made.bytes,
                "game": stored.game.name,
                "run": stored.url,
                "update": stored.update,
                "observation_shape": list(stored.network.observation_shape),
                "actions": stored.game.num_actions,
            }
        )
        return
    shape = ", ".join(map(str, stored.network.observation_shape))
    say(
        facts(
            [
                ("file", f"{file}, {size(made.bytes)}, {stored.network.num_weights():,} weights"),
                ("network", f"of {stored.url}@{stored.update}, game {stored.game.name}"),
                ("in", f"observations, float32 [batch, {shape}]"),
                ("out", f"policy_logits [batch, {stored.game.num_actions}], value [batch]"),
            ]
        )
    )
