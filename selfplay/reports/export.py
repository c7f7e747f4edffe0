"""Exports the network of a checkpoint to a file that runs without selfplay."""

import importlib.util
from pathlib import Path
from typing import NamedTuple

from selfplay.arena import StoredNetwork, load_network
from selfplay.errors import ConfigError
from selfplay.inference.export import to_onnx, to_stablehlo
from selfplay.registry import GameSpec, fingerprint
from selfplay.run import RunDirectory, find_checkpoint
from selfplay.store import atomic_write


class Exported(NamedTuple):
    """A file that was written.

    Attributes:
        stored: the network in it.
        format: "onnx" or "stablehlo".
        bytes: its size.
    """

    stored: StoredNetwork
    format: str
    bytes: int


def export_checkpoint(name: str, file: Path, *, game: GameSpec | None = None) -> Exported:
    """Writes the network of a checkpoint, with its weights and nothing else, to a new file.

    Args:
        name: "RUN[@UPDATE]", the newest checkpoint by default.
        file: ends in ".onnx" or ".stablehlo", see `selfplay.inference.export`.
        game: where the game of the run is now; None for where the run has it.

    Raises:
        RunError: the directory is not a run.
        CheckpointError: there is no such checkpoint, or it is damaged.
        ConfigError: the file exists, or has another ending, or ONNX cannot hold this network.
        StorageError: the file cannot be written.
    """
    form = file.suffix.removeprefix(".")
    if form not in ("onnx", "stablehlo"):
        raise ConfigError(
            f"{file} ends in {file.suffix or 'nothing'}, but the ending chooses the format",
            hint="write FILE.onnx or FILE.stablehlo",
        )
    if file.exists():
        raise ConfigError(f"{file} exists already", hint="choose another name, or remove it")
    rules = None
    if game is not None:
        rules = RunDirectory.open(find_checkpoint(name)[0]).make_game(game)
    stored = load_network(name, game=rules)
    if form == "stablehlo":
        data = to_stablehlo(stored.network, stored.weights)
    else:
        _check_onnx(stored)
        data = to_onnx(stored.network, stored.config.network, stored.weights, facts=_facts(stored))
    atomic_write(file, data)
    return Exported(stored, form, len(data))


def _check_onnx(stored: StoredNetwork) -> None:
    module = stored.config.network.module
    if module:
        raise ConfigError(
            f"network.module {module} is a module of your own, which cannot be written as ONNX",
            hint="write FILE.stablehlo",
        )
    if importlib.util.find_spec("onnx") is None:
        raise ConfigError(
            "ONNX is not installed", hint='pip install "selfplay-jax[onnx]", or FILE.stablehlo'
        )


def _facts(stored: StoredNetwork) -> dict[str, str]:
    """Returns where the network comes from."""
    return {
        "game": stored.game.name,
        "game_version": str(stored.game.version),
        "fingerprint": fingerprint(stored.game),
        "run": stored.url,
        "update": str(stored.update),
    }
