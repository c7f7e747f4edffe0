"""What a law is: what must hold, what to change where it does not, and the functions that test it.

A law of `selfplay check` is one `Law` in one module of this package; `selfplay.check.laws.table`
collects them all, and everything that tests, prints or documents laws takes them from there. The
mistakes that each law must find are planted in `tests/check/planted`; a test fails for a law that
has none.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Array

from selfplay.adapters import PythonGame
from selfplay.check.guessing.guesses import Guesses
from selfplay.check.play.exploration import Exploration
from selfplay.check.play.look_alikes import LookAlike
from selfplay.check.play.ply import Ply, Start
from selfplay.check.play.sequence import KeptPly, MoveSequence, RandomMatches
from selfplay.check.report import Fault
from selfplay.game import Game

AnyGame = Game[Any] | PythonGame[Any]


class Finding(NamedTuple):
    """Something that breaks a law in a position or by a move.

    Attributes:
        message: what was seen.
        line: the moves that show it; None if no moves do.
        at_position: whether the position after the moves is wrong, and not the last move.
        other: the moves to a second position that is compared with the first.
    """

    message: str
    line: MoveSequence | None
    at_position: bool = True
    other: MoveSequence | None = None


class Sample(NamedTuple):
    """Positions on the host.

    Attributes:
        game: the rules.
        singles: methods of one state by name, compiled; none of a plain-Python game.
        some: positions that are not over, from the beginning to the end of matches.
        ends: positions at the end of matches.
        matches: the random matches; None of a plain-Python game.
    """

    game: AnyGame
    singles: Mapping[str, Callable[..., Any]]
    some: Sequence[KeptPly]
    ends: Sequence[tuple[MoveSequence, Any]]
    matches: RandomMatches | None


def always(part: str, exploration: Exploration) -> bool:
    """Returns True: what breaks the law is a fault by itself."""
    return True


@dataclasses.dataclass(frozen=True, kw_only=True)
class RulesTest:
    """Looks at the rules before anything is played.

    Attributes:
        find: yields what is wrong.
        stops: whether nothing can be played where something is.
    """

    find: Callable[[Game[Any]], Iterator[str]]
    stops: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartTest:
    """Looks at every first position in compiled code.

    Attributes:
        find: returns by part of the law whether it is broken.
        messages: as those of `PlyTest`.
        at_position: likewise.
        proven: likewise.
    """

    find: Callable[[Start], dict[str, Array]]
    messages: Mapping[str, str]
    at_position: bool = False
    proven: Callable[[str, Exploration], bool] = always


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlyTest:
    """Looks at every ply in compiled code.

    Attributes:
        find: returns by part of the law whether it is broken, or that for each symmetry.
        messages: what to say of each part. A part without a message is a sign: no fault by itself,
            but something that other tests can look up in `Exploration.found`. A message may name
            `{returns}`, `{player}` (who is to move), `{mover}` (who made the last move),
            `{exchange}` (what the twin was made by) and `{symmetry}`.
        at_position: whether the parts are about the position before the move, not about the move.
        proven: given the part and everything that was found, whether a broken part is a fault.
    """

    find: Callable[[Ply], dict[str, Array]]
    messages: Mapping[str, str]
    at_position: bool = False
    proven: Callable[[str, Exploration], bool] = always


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleTest:
    """Looks at some positions on the host.

    Attributes:
        find: yields what is wrong; only the first finding is reported.
        in_python: whether states of plain-Python games are looked at in the same way.
    """

    find: Callable[[Sample], Iterator[Finding]]
    in_python: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchesTest:
    """Looks at everything that breadth-first search and random matches have shown.

    Attributes:
        find: yields what is wrong.
    """

    find: Callable[[Exploration], Iterator[Finding]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LookAlikeTest:
    """Looks at pairs of positions that look the same to the player to move, and are not.

    Attributes:
        find: yields what is wrong.
    """

    find: Callable[[Exploration, Sequence[LookAlike]], Iterator[Finding]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuessesTest:
    """Looks at how well results are guessed in thousands of random matches.

    Attributes:
        find: returns what is wrong, "" if nothing is.
    """

    find: Callable[[Guesses], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuresTest:
    """Looks at the measures of a game.

    Attributes:
        find: returns what is wrong, "" if nothing is.
    """

    find: Callable[[Game[Any], Mapping[str, Any], RandomMatches], str]


Test = (
    RulesTest
    | StartTest
    | PlyTest
    | SampleTest
    | MatchesTest
    | LookAlikeTest
    | GuessesTest
    | MeasuresTest
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InPython:
    """What a law says of plain-Python games, where their methods have other names.

    Attributes:
        statement: what must hold.
        advice: what to change where it does not.
    """

    statement: str
    advice: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Law:
    """Something that must hold in every game, or that a warning is given for.

    Attributes:
        name: as it is printed, and as `selfplay check --json` names it.
        statement: what must hold.
        advice: what to change where it does not.
        tests: what looks for games that break it. In plain-Python games `selfplay.adapters` looks,
            whenever a method is called, and raises `GameContractError` with the law's name;
            `selfplay.check.comparison` looks for "against".
        in_python: other words for plain-Python games.
        only_python: whether only plain-Python games can break it.
        is_warning: whether it is allowed to break it.
        explained_by: laws that a game may break so that this one is broken too; then only they
            are reported.
    """

    name: str
    statement: str
    advice: str
    tests: tuple[Test, ...] = ()
    in_python: InPython | None = None
    only_python: bool = False
    is_warning: bool = False
    explained_by: tuple[str, ...] = ()

    def fault(self, message: str, *, python: bool = False, **shown: Any) -> Fault:
        """Returns a fault, or a warning, of a game that breaks the law.

        Args:
            message: what was seen.
            python: whether the game is written in plain Python.
            shown: the moves and boards that show it, as `Fault` takes them.
        """
        words = self.in_python if python and self.in_python is not None else self
        return Fault(
            rule=self.name,
            message=message,
            law=words.statement,
            advice=words.advice,
            is_warning=self.is_warning,
            **shown,
        )
