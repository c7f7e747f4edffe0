"""Position suites: positions of one game with the moves or values that are expected, as text."""

import dataclasses
import hashlib
import inspect
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfplay.adapters import HostedGame
from selfplay.arena.live import LiveMatch, play_text
from selfplay.errors import ConfigError, IllegalActionError
from selfplay.game import Game

DEFAULT_TOLERANCE = 0.5
_KEYS = ("name", "moves", "best", "value", "tolerance", "comment")
_FORM = "a position is a line such as: name: block; moves: 3 0 3 0 3; best: 3; value: -1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuitePosition:
    """One position and what is expected there.

    Attributes:
        name: differs from the other names of the suite.
        match: how the position came about; it is not over.
        best: the moves that are right; empty if none is asked for.
        value: the expected value in [-1, 1], for the player to move; None if none is asked for.
        tolerance: how far from it a value may be, in [0, 2].
    """

    name: str
    match: LiveMatch
    best: tuple[int, ...] = ()
    value: float | None = None
    tolerance: float = DEFAULT_TOLERANCE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
    """Positions of one game.

    Attributes:
        name: of its file, without the ending.
        game: the rules.
        positions: at least one.
    """

    name: str
    game: Game[Any]
    positions: tuple[SuitePosition, ...]

    @property
    def id(self) -> str:
        """Returns 12 hex digits that name the content: equal ids, equal positions and answers."""
        content = [
            self.game.name,
            self.game.version,
            *(
                [one.name, one.match.actions, one.match.outcomes, one.best, one.value,
                 one.tolerance]
                for one in self.positions
            ),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


def read_suite(path: Path, game: Game[Any]) -> Suite:
    """Returns the suite in a file.

    Args:
        path: of the file.
        game: the rules it must belong to.

    Raises:
        ConfigError: the file cannot be read, is of another game or of other options of it, or a
            line is wrong: the message names it.
    """
    return parse_suite(path, _read(path), game)


def fits(path: Path, game: Game[Any]) -> bool:
    """Returns whether a suite is of this game, with the options that the suite names."""
    _, head = next(_fields(path, _read(path)), (0, {}))
    return "game" in head and not _other_game(head, game)


def suite_of(game: Game[Any]) -> Path | None:
    """Returns the file of the suite that a game names, None if it names none for its options.

    Raises:
        ConfigError: the file that it names cannot be read.
    """
    rules = _rules(game)
    if not rules.suite_file:
        return None
    path = Path(inspect.getfile(type(rules))).parent / rules.suite_file
    return path if fits(path, game) else None


def parse_suite(path: Path, text: str, game: Game[Any]) -> Suite:
    """Returns the suite that the text of a file holds; raises as `read_suite` does."""
    lines = _fields(path, text)
    number, head = next(lines, (0, {}))
    if "game" not in head:
        raise ConfigError(
            f"{_place(path, number)} does not say of which game the suite is",
            hint=f"the first line is: game: {game.name}",
        )
    if other := _other_game(head, game):
        raise ConfigError(
            f"{_place(path, number)} says that the suite is of {other}",
            hint="a suite has the options of its game in its first line: game: hex; size: 5",
        )
    positions: dict[str, SuitePosition] = {}
    for number, fields in lines:
        try:
            one = _position(fields, game)
            if one.name in positions:
                raise ConfigError(f"the name {one.name!r} stands on an earlier line too")
        except (ConfigError, IllegalActionError) as error:
            raise ConfigError(f"{_place(path, number)}: {error}", hint=error.hint) from error
        positions[one.name] = one
    if not positions:
        raise ConfigError(f"the suite {path} holds no position", hint=_FORM)
    return Suite(name=path.stem, game=game, positions=tuple(positions.values()))


def _position(fields: Mapping[str, str], game: Game[Any]) -> SuitePosition:
    """Returns the position of one line; errors do not name the line."""
    unknown = sorted(set(fields) - set(_KEYS))
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no key", hint=f"keys are {', '.join(_KEYS)}")
    if not fields.get("name"):
        raise ConfigError("the position has no name", hint=_FORM)
    if not fields.get("best") and not fields.get("value"):
        raise ConfigError("neither best nor value says what is expected", hint=_FORM)
    match = play_text(game, fields.get("moves", ""))
    if match.over:
        raise ConfigError("the match is over after these moves", hint="leave the last one out")
    tolerance = _number(fields, "tolerance", 0, 2)
    best = []
    for text in fields.get("best", "").split():
        action = match.parse(text)
        if action not in match.legal:
            raise IllegalActionError(
                f"the best move {text!r} is not legal",
                hint=f"legal actions: {' '.join(map(str, match.legal))}",
            )
        best.append(action)
    return SuitePosition(
        name=fields["name"],
        match=match,
        best=tuple(sorted(set(best))),
        value=_number(fields, "value", -1, 1),
        tolerance=DEFAULT_TOLERANCE if tolerance is None else tolerance,
    )


def _number(fields: Mapping[str, str], key: str, low: float, high: float) -> float | None:
    """Returns a number between two bounds, None where the key is left out."""
    text = fields.get(key)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise ConfigError(f"{key} is {text!r}, but must be a number from {low} to {high}")
    return number


def _fields(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields the number and the fields of each line that holds some."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        fields: dict[str, str] = {}
        for part in line.split(";"):
            key, colon, value = part.partition(":")
            key = key.strip()
            if not colon:
                raise ConfigError(
                    f"{_place(path, number)}: {part.strip()!r} is no key with a value", hint=_FORM
                )
            if key in fields:
                raise ConfigError(f"{_place(path, number)}: {key!r} stands there twice", hint=_FORM)
            fields[key] = value.strip()
        yield number, fields


def _other_game(head: Mapping[str, str], game: Game[Any]) -> str:
    """Returns which game or option the first line of a suite names that is another; else ""."""
    if head["game"] != game.name:
        return f"{head['game']}, but the game is {game.name}"
    rules = _rules(game)
    for option, text in head.items():
        if option == "game":
            continue
        value = getattr(rules, option, None)
        if str(value).lower() != text.lower():
            return f"{game.name} with {option} {text}, but here it is {value}"
    return ""


def _rules(game: Game[Any]) -> Any:
    """Returns the game as its author wrote it."""
    return game.rules if isinstance(game, HostedGame) else game


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the suite {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the suite {path} is no text file", hint=_FORM) from None


def _place(path: Path, number: int) -> str:
    return f"the suite {path}, line {number}"
