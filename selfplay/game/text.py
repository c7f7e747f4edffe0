"""Texts for people: the title of a game, and moves and outcomes by what a person typed."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from selfplay.errors import IllegalActionError


@runtime_checkable
class Titled(Protocol):
    """A game, in JAX or in plain Python."""

    name: str
    title: str


def title_of(game: Titled) -> str:
    """Returns what people call a game: its title, or else one made from its name.

    >>> from selfplay import make
    >>> title_of(make("nine_mens_morris")), title_of(make("dots_and_boxes"))
    ("Nine men's morris", 'Dots and boxes')
    """
    return game.title or title_from(game.name)


def title_from(name: str) -> str:
    """Returns a title for a game that gives none.

    >>> title_from("my_game")
    'My game'
    """
    return name[:1].upper() + name[1:].replace("_", " ")


def named_action(names: Mapping[str, int], text: str) -> int:
    """Returns the legal action that a person means by `text`, in capital letters or not.

    Args:
        names: every legal action by its name.
        text: what the person wrote.

    Raises:
        IllegalActionError: no legal action is written like that.
    """
    listed = f"legal moves: {' '.join(names)}" if names else "no move is legal here"
    return _named(names, text, refusal="is not a legal move here", hint=listed)


def named_outcome(names: Mapping[str, int], text: str) -> int:
    """Returns the possible outcome that a person means by `text`; otherwise as `named_action`."""
    listed = f"possible outcomes: {' '.join(names)}" if names else "no chance follows this move"
    return _named(names, text, refusal="cannot come up here", hint=listed)


def _named(names: Mapping[str, int], text: str, *, refusal: str, hint: str) -> int:
    wanted = text.strip()
    for name, number in names.items():
        if name.casefold() == wanted.casefold():
            return number
    raise IllegalActionError(f"{wanted!r} {refusal}", hint=hint)
