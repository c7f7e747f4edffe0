"""selfplay new-game: writes a small project to start your own game from."""

import importlib.util
import keyword
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from selfplay.cli.group import program
from selfplay.cli.options import Json
from selfplay.cli.output import say, say_json
from selfplay.configuration import check_choice, check_range
from selfplay.errors import ConfigError, StorageError

EXAMPLES = (
    "selfplay new-game my_game",
    "selfplay new-game my_game --kind python --board hex --size 7",
    "selfplay new-game my_game --kind chance --board none --package --into my_game",
)

_KINDS = {
    "jax": "rules in JAX: fast",
    "chance": "rules in JAX, with dice or cards",
    "python": "rules in plain Python: slower, no JAX to learn",
}
_BOARDS = {
    "square": "cells in rows and columns",
    "hex": "hexagonal cells",
    "none": "no cells: counters, cards, numbers",
}
# Smallest, usual and largest size; without a board, the number of counters at the start.
_SIZES = {"square": (3, 5, 12), "hex": (3, 5, 12), "none": (4, 21, 200)}
# Modules of these names would hide modules that the game imports.
_TAKEN = {"jax", "jaxlib", "jaxtyping", "numpy", "pytest", "selfplay"}


def new_game(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The name of the game, such as my_game.", show_default=False
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="jax, chance or python.", show_default=False),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option("--board", metavar="BOARD", help="square, hex or none.", show_default=False),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            metavar="N",
            help="Cells along a side; without a board, the number of counters at the start.",
            show_default=False,
        ),
    ] = None,
    package: Annotated[
        bool,
        typer.Option(
            "--package", help="Write a pyproject.toml too, so that you can install the game."
        ),
    ] = False,
    into: Annotated[
        Path,
        typer.Option(
            "--into", metavar="DIR", help="The directory to write to; created if necessary."
        ),
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Write a small game for you to change.

    It is complete and can be played. On a terminal, the command asks for missing options. It
    overwrites nothing; a README.md that is there already stays as it is.
    """
    _check_name(name)
    asking = _interactive() and not as_json
    kind = kind if kind is not None else _ask("kind", _KINDS, asking)
    check_choice("--kind", kind, tuple(_KINDS))
    board = board if board is not None else _ask("board", _BOARDS, asking)
    check_choice("--board", board, tuple(_BOARDS))
    least, usual, most = _SIZES[board]
    if size is None:
        size = typer.prompt("size", default=usual, type=int) if asking else usual
    check_range("--size", size, low=least, high=most)
    from selfplay.store.place import typed

    directory = [] if into == Path() else [f"cd {typed(into)}"]
    called = program(elsewhere=bool(directory))
    commands = [f"{called} {command}" for command in _commands(name)]
    files = _files(name, kind, board, size, package=package)
    if (into / "README.md").exists():
        del files["README.md"]
    _write(into, files)
    if as_json:
        say_json({"files": [str(into / file) for file in files], "commands": commands})
        return
    say(f"wrote {', '.join(str(into / file) for file in files)}")
    # Commands are not wrapped, so that they can be copied.
    say("\n".join(["next:", *(f"  {line}" for line in [*directory, *commands])]))


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _ask(what: str, choices: Mapping[str, str], asking: bool) -> str:
    """Returns the answer; the first choice if nobody can be asked."""
    usual = next(iter(choices))
    if not asking:
        return usual
    width = max(map(len, choices))
    say(f"{what}:")
    for choice, meaning in choices.items():
        say(f"  {choice.ljust(width)}  {meaning}")
    answer: str = typer.prompt(what, default=usual)
    return answer.strip().lower()


def _check_name(name: str) -> None:
    """Raises `ConfigError` unless the name suits a file, a module and a game."""
    from selfplay.registry import game_names

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        usable = re.fullmatch(r"[a-z][a-z0-9_]*", plain) and not keyword.iskeyword(plain)
        raise ConfigError(
            f"NAME is {name!r}, but must be a Python name in lower case",
            hint=f"for example {plain if usable else 'my_game'}",
        )
    if name in game_names():
        raise ConfigError(
            f"{name} is a game that selfplay knows already",
            hint=f"for example my_{name}; or play that one: selfplay play {name}",
        )
    if name in _TAKEN or name in sys.stdlib_module_names:
        raise ConfigError(
            f"{name} is the name of a Python module that {name}.py would hide",
            hint=f"for example my_{name}",
        )


def _commands(name: str) -> list[str]:
    """Returns the commands that lead to an opponent to play against."""
    commands = [f"check {name}.py", f"train {name}.py --minutes 2", f"play runs/{name}"]
    if importlib.util.find_spec("selfplay.cli.serve"):
        commands.append(f"serve runs/{name}")
    return commands


def _files(name: str, kind: str, board: str, size: int, *, package: bool) -> dict[str, str]:
    """Returns the files of the project by name."""
    from importlib import resources

    templates = resources.files("selfplay.templates")
    class_name = "".join(part.capitalize() for part in name.split("_"))

    def filled(template: str) -> str:
        text = templates.joinpath(template).read_text(encoding="utf-8")
        return text.replace("my_game", name).replace("MyGame", class_name)

    rules = filled(f"{kind}_{'none' if board == 'none' else 'board'}.py")
    rules = re.sub(r"^SIZE = \d+$", f"SIZE = {size}", rules, count=1, flags=re.MULTILINE)
    if board == "hex":
        rules = rules.replace('BOARD = "square"', 'BOARD = "hex"')
        # Two of a square's neighbours at a corner are neighbours on hexagons, the others are not.
        rules = rules.replace("(1, 0), (1, 1), (1, -1))", "(1, 0), (1, -1))")
    commands = "\n".join(f"selfplay {command}" for command in _commands(name))
    files = {
        f"{name}.py": rules,
        f"test_{name}.py": filled("game_test.py"),
        "README.md": filled("README.md").replace("COMMANDS", commands),
    }
    if package:
        files["pyproject.toml"] = filled("pyproject.toml.txt")
    return files


def _write(directory: Path, files: Mapping[str, str]) -> None:
    """Writes `files`, all or none.

    Raises:
        ConfigError: one of them exists already.
        StorageError: the directory cannot be written.
    """
    there = [file for file in files if (directory / file).exists()]
    if there:
        raise ConfigError(
            f"{directory / there[0]} exists, and nothing is overwritten",
            hint="use another name or directory: --into DIR",
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            # "x" refuses even a file that was created meanwhile.
            with (directory / file).open("x", encoding="utf-8") as stream:
                stream.write(text)
    except OSError as error:
        raise StorageError(f"cannot write into {directory}: {error.strerror}") from error
