"""The files of openings that `selfplay arena` plays and writes."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfplay.arena import OpeningSet
    from selfplay.game import Game


def openings_to_play(
    game: "Game[Any]",
    file: Path | None,
    new_file: Path | None,
    num_matches: int | None,
    plies: int | None,
    seed: int,
    sequential: bool,
) -> "OpeningSet | None":
    """Returns the openings of a file, or random ones that were written to one; None for neither.

    A sequential test draws new openings until it is decided: they can be saved afterwards.

    Raises:
        ConfigError: a file cannot be read, is of another game, or exists already.
    """
    from selfplay.arena import OpeningSet, default_opening_plies, random_openings
    from selfplay.errors import ConfigError

    if file is not None and new_file is not None:
        raise ConfigError(
            f"--openings is {file} and --save-openings is {new_file}, but only one can be given",
            hint="the openings of --openings are in a file already",
        )
    if file is not None:
        return OpeningSet.load(file, game)
    if new_file is None:
        return None
    check_new(new_file)
    if sequential:
        return None
    made = random_openings(
        game,
        num_openings=max(1, (100 if num_matches is None else num_matches) // 2),
        plies=default_opening_plies(game) if plies is None else plies,
        seed=seed,
    )
    made.save(new_file)
    return made


def check_new(file: Path) -> None:
    """Raises `ConfigError` if there is such a file already."""
    from selfplay.errors import ConfigError

    if file.exists():
        raise ConfigError(
            f"--save-openings is {file}, but that exists already",
            hint=f"name a new file, or play those: --openings {shlex.quote(str(file))}",
        )
