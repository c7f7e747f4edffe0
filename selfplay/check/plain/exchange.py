"""Finds a way to hand a state of a plain-Python game to the other player."""

import contextlib
import copy
import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from selfplay.adapters.python_game import PythonGame

_DEEPEST = 3
_MOST_PARTS = 64


class PlayerExchange(NamedTuple):
    """A way to exchange the players.

    Attributes:
        name: what is changed, such as "state[1]"; "exchange_players" if the author wrote it.
        turn: returns a new state.
        given: whether it is the author's own: then every position must behave alike.
    """

    name: str
    turn: Callable[[Any], Any]
    given: bool


class PlayerToMove(NamedTuple):
    """A state in which somebody is to move.

    Attributes:
        state: the user's own object.
        player: who is to move.
        action: a legal one.
    """

    state: Any
    player: int
    action: int


def find_exchange(rules: PythonGame[Any], seats: Sequence[PlayerToMove]) -> PlayerExchange | None:
    """Returns how to exchange the players, None if nobody knows.

    If the author does not say, a part of the state is looked for that always says who is to move
    and nothing else: it has one value for each player, and with the other value the other player
    is to move, now and after the next move. (Where the mover also follows from a count, it does
    not: such a state could never be reached.)

    Args:
        rules: the user's game.
        seats: states of random matches, of both players.
    """
    if type(rules).exchange_players is not PythonGame.exchange_players:
        return PlayerExchange("exchange_players", rules.exchange_players, True)
    if len({seat.player for seat in seats}) < 2:
        return None
    parts = [dict(_parts(seat.state)) for seat in seats]
    for path in parts[0]:
        if not all(path in one for one in parts):
            continue
        values: dict[int, list[Any]] = {0: [], 1: []}
        for seat, one in zip(seats, parts, strict=True):
            if not any(_same(one[path], value) for value in values[seat.player]):
                values[seat.player].append(one[path])
        if [len(known) for known in values.values()] != [1, 1]:
            continue
        first, second = values[0][0], values[1][0]
        if _same(first, second):
            continue

        def turn(state: Any, path: tuple[Any, ...] = path, first: Any = first,
                 second: Any = second) -> Any:  # fmt: skip
            return _replaced(state, path, lambda old: second if _same(old, first) else first)

        if _exchanges(rules, seats, turn):
            return PlayerExchange("state" + "".join(part.text for part in path), turn, False)
    return None


def _exchanges(
    rules: PythonGame[Any], seats: Sequence[PlayerToMove], turn: Callable[[Any], Any]
) -> bool:
    """Returns whether the other player is to move in the image, and after a move in it."""
    try:
        for seat in seats:
            image = turn(seat.state)
            if int(rules.current_player(image)) != 1 - seat.player:
                return False
            if seat.action not in list(rules.legal_actions(image)):
                continue
            after = rules.apply(copy.deepcopy(seat.state), seat.action)
            after_image = rules.apply(image, seat.action)
            if rules.is_terminal(after) or rules.is_terminal(after_image):
                continue
            if hasattr(rules, "num_outcomes"):
                continue
            if int(rules.current_player(after)) == int(rules.current_player(after_image)):
                return False
    except Exception:
        # In a state that cannot occur anything may happen.
        return False
    return True


class _Part(NamedTuple):
    """One step into a state: an attribute, or an index or key."""

    attribute: bool
    key: Any

    @property
    def text(self) -> str:
        """Returns the step as it is written in Python."""
        return f".{self.key}" if self.attribute else f"[{self.key!r}]"


def _parts(state: Any, path: tuple[_Part, ...] = ()) -> Iterator[tuple[tuple[_Part, ...], Any]]:
    """Yields the plain values in a state, and the way to each."""
    if isinstance(state, str | int | float | bool | enum.Enum | np.generic) or state is None:
        yield path, state
        return
    if len(path) == _DEEPEST:
        return
    for part, value in _inside(state):
        yield from _parts(value, (*path, part))


def _inside(state: Any) -> list[tuple[_Part, Any]]:
    if isinstance(state, Mapping):
        return [(_Part(False, key), value) for key, value in list(state.items())[:_MOST_PARTS]]
    if isinstance(state, list | tuple):
        return [(_Part(False, index), value) for index, value in enumerate(state[:_MOST_PARTS])]
    names = list(getattr(state, "__dict__", ()))
    for kind in type(state).__mro__:
        slots = getattr(kind, "__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [
        (_Part(True, name), getattr(state, name))
        for name in names[:_MOST_PARTS]
        if hasattr(state, name)
    ]


def _replaced(state: Any, path: tuple[_Part, ...], change: Callable[[Any], Any]) -> Any:
    """Returns a copy of a state with another value at the end of `path`."""
    if not path:
        return change(state)
    part, rest = path[0], path[1:]
    if part.attribute:
        new = copy.deepcopy(state)
        value = _replaced(getattr(state, part.key), rest, change)
        # Frozen dataclasses refuse the ordinary way.
        object.__setattr__(new, part.key, value)
        return new
    value = _replaced(state[part.key], rest, change)
    if isinstance(state, tuple):
        values = [*state[: part.key], value, *state[part.key + 1 :]]
        made = type(state)
        with contextlib.suppress(AttributeError):
            return made._make(values)  # type: ignore[attr-defined]
        return made(values)
    new = copy.deepcopy(state)
    new[part.key] = value
    return new


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
