"""How a person names moves and outcomes: matching what was typed against what there is."""

from collections.abc import Mapping

from selfplay.errors import IllegalActionError


def named_action(names: Mapping[str, int], text: str) -> int:
    """Returns the legal action that a person means by `text`, in capital letters or not.

    Args:
        names: every legal action by its name.
        text: what the person wrote.

    Raises:
        IllegalActionError: no legal action is written like that.
    """
    return _named(names, text, refusal="is not a legal move here", listed="legal moves")


def named_outcome(names: Mapping[str, int], text: str) -> int:
    """Returns the possible outcome that a person means by `text`; otherwise as `named_action`."""
    return _named(names, text, refusal="cannot come up here", listed="possible outcomes")


def _named(names: Mapping[str, int], text: str, *, refusal: str, listed: str) -> int:
    wanted = text.strip()
    for name, number in names.items():
        if name.casefold() == wanted.casefold():
            return number
    raise IllegalActionError(f"{wanted!r} {refusal}", hint=f"{listed}: {' '.join(names)}")
