"""Where to look for the file of a run's game that is not at the path in run.toml."""

import os
from collections.abc import Iterator
from pathlib import Path

from selfplay.registry import GameSpec, split_file

GAMES_VARIABLE = "SELFPLAY_GAMES"
"""Folders with files of games, separated as in PATH."""

_LONGEST_END = 3
"""Of a recorded path, from "mine.py" to "project/games/mine.py"."""


def game_folders() -> list[Path]:
    """Returns the folders that `SELFPLAY_GAMES` names, in order."""
    named = os.environ.get(GAMES_VARIABLE, "").split(os.pathsep)
    return [Path(folder).expanduser() for folder in named if folder]


def find_game_file(file: str) -> Path | None:
    """Returns a file of a game that was typed: here, else in a folder of `SELFPLAY_GAMES`."""
    path = Path(file).expanduser()
    places = [path, *(folder / path for folder in game_folders())]
    return next((place for place in places if place.is_file()), None)


def other_places(spec: GameSpec, run_path: Path | None) -> list[GameSpec]:
    """Returns the existing files that may be the game of a run, but for the recorded one.

    Args:
        spec: as it is recorded.
        run_path: the directory of the run, None if it lies in a store elsewhere.
    """
    parts = split_file(spec.spec)
    if parts is None:
        return []
    recorded, class_name = Path(parts[0]), parts[1]
    found: dict[Path, GameSpec] = {}
    for folder in _folders(run_path):
        for end in _ends(recorded):
            file = (folder / end).absolute()
            if file.is_file() and file.resolve() != recorded.resolve():
                found.setdefault(file.resolve(), GameSpec(f"{file}{class_name}", spec.options))
    return list(found.values())


def where_looked(spec: GameSpec, run_path: Path | None) -> str:
    """Returns where `other_places` looks, in words; "" if the game is no file."""
    parts = split_file(spec.spec)
    if parts is None:
        return ""
    folders = "the current folder"
    if run_path is not None:
        folders += ", the run directory and the two folders above it"
    folders += f", and the folders of {GAMES_VARIABLE}"
    return f"looked for {Path(parts[0]).name} in {folders}"


def _folders(run_path: Path | None) -> Iterator[Path]:
    yield from game_folders()
    yield Path.cwd()
    if run_path is not None:
        directory = run_path.absolute()
        yield from (directory, directory.parent, directory.parent.parent)


def _ends(file: Path) -> Iterator[Path]:
    """Yields "project/games/mine.py", "games/mine.py" and "mine.py"."""
    parts = [part for part in file.parts if part != file.anchor]
    for length in range(min(_LONGEST_END, len(parts)), 0, -1):
        yield Path(*parts[-length:])
