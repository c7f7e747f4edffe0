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
