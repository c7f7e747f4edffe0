"""From what a person types to a game: bundled names, files, modules and entry points."""

import contextlib
import dataclasses
import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from selfplay.adapters import PythonGame, host
from selfplay.contract import brief, fingerprint, validate
from selfplay.errors import ConfigError, GameContractError, SelfplayError, UnknownGameError
from selfplay.game import Game

__all__ = [
    "GameSpec",
    "fingerprint",
    "game_names",
    "load_object",
    "make",
    "split_file",
]

ENTRY_POINT_GROUP = "selfplay.games"

_BUNDLED = {
    "backgammon": "selfplay.games.backgammon:Backgammon",
    "breakthrough": "selfplay.games.breakthrough:Breakthrough",
    "clobber": "selfplay.games.clobber:Clobber",
    "connect_four": "selfplay.games.connect_four:ConnectFour",
    "dots_and_boxes": "selfplay.games.dots_and_boxes:DotsAndBoxes",
    "einstein_wuerfelt_nicht": "selfplay.games.einstein_wuerfelt_nicht:EinsteinWuerfeltNicht",
    "flagz": "selfplay.games.flagz:Flagz",
    "generals": "selfplay.games.generals:Generals",
    "go": "selfplay.games.go:Go",
    "go_19x19": "selfplay.games.go:Go19x19",
    "go_9x9": "selfplay.games.go:Go9x9",
    "gomoku": "selfplay.games.gomoku:Gomoku",
    "hex": "selfplay.games.hex:Hex",
    "kalah": "selfplay.games.kalah:Kalah",
    "nine_mens_morris": "selfplay.games.nine_mens_morris:NineMensMorris",
    "othello": "selfplay.games.othello:Othello",
    "tic_tac_toe": "selfplay.games.tic_tac_toe:TicTacToe",
}
_MAKER = "selfplay.registry:python_rules"
_OPEN_SPIEL = "open_spiel"
_OPEN_SPIEL_MAKER = "selfplay.adapters.open_spiel:make_open_spiel"
_FORMS = "a game is a name, FILE.py:Class, package.module:Class, pgx:ID or open_spiel:NAME"
_IS_A_GAME = "a game is a class that subclasses selfplay.Game or selfplay.PythonGame"
_WHERE = "looked in the current directory, and for a module among the installed packages too"


@dataclasses.dataclass(frozen=True)
class GameSpec:
    """How a game is named: enough to make it again in another process.

    Attributes:
        spec: a name, "file.py:Class", "package.module:Class", "pgx:ID" or "open_spiel:NAME".
        options: constructor arguments.

    >>> spec = GameSpec("othello", {"size": 6})
    >>> spec.make().num_actions
    37
    """

    spec: str
    options: dict[str, object] = dataclasses.field(default_factory=dict)

    def make(self) -> Game[Any]:
        """Returns the game; raises what `make` raises."""
        return make(self.spec, **self.options)

    def rules(self) -> Game[Any] | PythonGame[Any]:
        """Returns the game as its author wrote it, unseen; raises as `make` does."""
        return _written(self.spec, self.options)


def make(spec: str, /, **options: object) -> Game[Any]:
    """Returns the game that `spec` names, made with `options`.

    Args:
        spec: "connect_four", "file.py:Class" ("file.py" will do if it holds one game),
            "package.module:Class", a name that an installed package registered under the entry
            point group "selfplay.games", or a game of another library: "pgx:go_9x9",
            "open_spiel:breakthrough(rows=6,columns=6)".
        options: constructor arguments, such as `size=6`.

    Raises:
        UnknownGameError: nothing is called that.
        ConfigError: the constructor does not take these options.
        GameContractError: the class is found, but is no playable game.

    >>> make("othello", size=6).num_actions
    37
    """
    found = _written(spec, options)
    if isinstance(found, PythonGame):
        library = spec.partition(":")[0] == _OPEN_SPIEL
        maker, arguments = (
            (_OPEN_SPIEL_MAKER, spec.partition(":")[2]) if library else (_MAKER, spec)
        )
        found = host(found, maker=maker, arguments=[arguments, options])
    validate(found, spec)
    return found


def python_rules(spec: str, options: Mapping[str, object]) -> PythonGame[Any]:
    """Returns the rules behind a game in plain Python: processes on other cores make them again.

    Raises:
        GameContractError: `spec` names a game that is not in plain Python.
    """
    found = _construct(_game_class(spec), spec, options)
    if not isinstance(found, PythonGame):
        raise GameContractError(f"{spec} is not in plain Python")
    return found


def split_file(spec: str) -> tuple[str, str] | None:
    """Returns `("file.py", ":Class")` of "file.py:Class", None if `spec` names no file.

    The second is "" where no class is named.
    """
    where, colon, name = spec.rpartition(":")
    if where.endswith(".py"):
        return where, colon + name
    return (spec, "") if spec.endswith(".py") else None


def game_names() -> tuple[str, ...]:
    """Returns the names that `make` knows, bundled and registered by packages, sorted.

    >>> "connect_four" in game_names()
    True
    """
    return tuple(sorted({*_BUNDLED, *_entry_points()}))


def load_object(spec: str) -> object:
    """Returns what "file.py:Name" or "package.module:Name" names, whatever it is.

    Raises:
        ConfigError: there is no such file, module or name.
    """
    where, _, name = spec.rpartition(":")
    if not where or not name:
        raise ConfigError(f"{spec!r} is not file.py:Name or package.module:Name")
    module = _load_file(where) if where.endswith(".py") else _load_module(where)
    if not hasattr(module, name):
        raise ConfigError(f"{where} holds no {name}")
    found: object = getattr(module, name)
    return found


def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return {point.name: point for point in points}


def _written(spec: str, options: dict[str, object]) -> Game[Any] | PythonGame[Any]:
    """Returns what `spec` names, as it was written."""
    library, _, name = spec.partition(":")
    if library == "pgx":
        from selfplay.adapters.pgx_game import make_pgx

        return make_pgx(name, options)
    if library == _OPEN_SPIEL:
        from selfplay.adapters.open_spiel import make_open_spiel

        return make_open_spiel(name, options)
    return _construct(_game_class(spec), spec, options)


_GameClass = type[Game[Any]] | type[PythonGame[Any]]


def _game_class(spec: str) -> _GameClass:
    """Returns the class that `spec` names."""
    file = split_file(spec)
    if file is not None:
        return _class_of(_load_file(file[0]), file[0], file[1].removeprefix(":") or None)
    where, _, class_name = _BUNDLED.get(spec, spec).rpartition(":")
    if where and "=" in class_name:
        given = " ".join(f"--option {option}" for option in class_name.split(","))
        raise UnknownGameError(
            f"{spec!r} has options in the name of the game",
            hint=f"give {where} {given}; in Python, keyword arguments",
        )
    if where:
        return _class_of(_load_module(where), where, class_name)
    point = _entry_points().get(spec)
    if point is None:
        raise _unknown(spec)
    with _explained(f"entry point {spec} ({point.value})"):
        found = point.load()
    return _checked_class(found, point.value)


def _unknown(spec: str) -> UnknownGameError:
    names = game_names()
    close = difflib.get_close_matches(spec, names, n=1)
    if Path(f"{spec}.py").is_file():
        close = [f"{spec}.py"]
    suggestion = f"did you mean {close[0]}? " if close else ""
    return UnknownGameError(
        f"{spec!r} is not a game", hint=f"{suggestion}{_FORMS}; names: {', '.join(names)}"
    )


def _load_file(text: str) -> ModuleType:
    path = Path(text).expanduser()
    if not path.is_file():
        raise UnknownGameError(f"file {text} does not exist", hint=_WHERE)
    # Two files of the same name in two folders are two modules.
    name = (
        f"selfplay_file_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    )
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise UnknownGameError(f"file {text} is not a Python file", hint=_WHERE)
    module = importlib.util.module_from_spec(specification)
    # Before it runs: dataclasses look their module up by name.
    sys.modules[name] = module
    with _explained(f"file {text}"), _importable_from(path.resolve().parent):
        specification.loader.exec_module(module)
    return module


def _load_module(name: str) -> ModuleType:
    with _explained(f"module {name}"), _importable_from(Path.cwd()):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Another name is missing inside the module: that is the module's own fault.
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise UnknownGameError(f"module {name} does not exist", hint=_WHERE) from error


@contextlib.contextmanager
def _importable_from(directory: Path) -> Iterator[None]:
    """Lets a game import its neighbours, as `python FILE` and `python -m MODULE` would."""
    before = list(sys.path)
    sys.path.append(str(directory))
    try:
        yield
    finally:
        sys.path[:] = before


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turns whatever goes wrong in a user's code into one line."""
    try:
        yield
    except SelfplayError:
        raise
    except Exception as error:
        raise GameContractError(
            f"{what} cannot be imported: {brief(error)}", hint="--debug shows the whole traceback"
        ) from error


def _class_of(module: ModuleType, where: str, class_name: str | None) -> _GameClass:
    own = sorted(
        name
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, (Game, PythonGame))
        and value.__module__ == module.__name__
        and not name.startswith("_")
    )
    listed = f"games in it: {', '.join(f'{where}:{name}' for name in own)}" if own else ""
    if class_name is not None:
        if not hasattr(module, class_name):
            close = difflib.get_close_matches(class_name, own, n=1)
            suggestion = f"did you mean {where}:{close[0]}?" if close else listed
            raise UnknownGameError(
                f"{where} has no class {class_name}", hint=suggestion or "it holds no game at all"
            )
        return _checked_class(getattr(module, class_name), f"{where}:{class_name}")
    if not own:
        raise UnknownGameError(f"{where} holds no game", hint=_IS_A_GAME)
    if len(own) > 1:
        raise UnknownGameError(f"{where} holds {len(own)} games", hint=listed)
    return _checked_class(getattr(module, own[0]), f"{where}:{own[0]}")


def _checked_class(found: object, where: str) -> _GameClass:
    if not inspect.isclass(found) or not issubclass(found, (Game, PythonGame)):
        raise GameContractError(f"{where} is not a game", hint=_IS_A_GAME)
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        own = [
            name for name in vars(found) if name not in dir(Game) and name not in dir(PythonGame)
        ]
        close = {
            name: match
            for name in missing
            for match in difflib.get_close_matches(name, own, n=1, cutoff=0.8)
        }
        raise GameContractError(
            f"{where} lacks methods: {', '.join(missing)}",
            hint="; ".join(f"is {match} meant to be {name}?" for name, match in close.items()),
        )
    return found


def _construct(
    cls: _GameClass, spec: str, options: Mapping[str, object]
) -> Game[Any] | PythonGame[Any]:
    """Returns `cls(**options)`, or says which options it takes."""
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    takes = ", ".join(
        name if parameter.default is parameter.empty else f"{name}={parameter.default!r}"
        for name, parameter in parameters.items()
    )
    hint = f"its options: {takes}" if takes else "it has no options"
    for name, value in options.items():
        if name not in parameters:
            close = difflib.get_close_matches(name, parameters, n=1)
            suggestion = f"did you mean {close[0]}? " if close else ""
            raise ConfigError(f"{spec} has no option {name!r}", hint=suggestion + hint)
        wanted = parameters[name].annotation
        if wanted in (bool, int, float, str) and not _fits(value, wanted):
            raise ConfigError(
                f"{spec}: option {name} is {value!r}, but must be of type {wanted.__name__}",
                hint=hint,
            )
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in options:
            raise ConfigError(f"{spec} needs the option {name!r}", hint=f"--option {name}=VALUE")
    try:
        return cls(**options)
    except SelfplayError:
        raise
    except Exception as error:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise ConfigError(
            f"{spec} cannot be made with {given or 'no options'}: {brief(error)}", hint=hint
        ) from error


def _fits(value: object, wanted: type) -> bool:
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is wanted
