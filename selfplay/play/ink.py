"""Colour in a terminal: what a move changed on a board, and a bar for an estimate."""

import os
from typing import Any

_BOLD, _DIM, _GREEN, _RED, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[0m"
_CHANGED = "\x1b[1;33m"
_BAR = 20


def takes_colour(stream: Any) -> bool:
    """Returns whether text for a stream may be coloured: a terminal, and nobody objects."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


class Ink:
    """Colours text, or leaves it as it is."""

    def __init__(self, colour: bool) -> None:
        """Takes whether to colour at all."""
        self._colour = colour
        self._last_board: list[str] = []

    def board(self, text: str) -> str:
        """Returns a board with what has changed since the last one in bold."""
        lines, last = text.split("\n"), self._last_board
        self._last_board = lines
        if not self._colour or len(lines) != len(last):
            return text
        return "\n".join(self._changed(new, old) for new, old in zip(lines, last, strict=True))

    def head(self, text: str) -> str:
        """Returns a line that stands out."""
        return f"{_BOLD}{text}{_RESET}" if self._colour else text

    def aside(self, text: str) -> str:
        """Returns text that stands back."""
        return f"{_DIM}{text}{_RESET}" if self._colour else text

    def bar(self, share: float) -> str:
        """Returns a bar for a share in [0, 1]; nothing without colour."""
        if not self._colour:
            return ""
        filled = round(_BAR * min(1.0, max(0.0, share)))
        # Signs and not colour alone: some see no difference, some terminals have none.
        return f" [{_GREEN}{'#' * filled}{_RED}{'-' * (_BAR - filled)}{_RESET}]"

    def _changed(self, new: str, old: str) -> str:
        if len(new) != len(old):
            return new
        return "".join(
            one if one == other else f"{_CHANGED}{one}{_RESET}"
            for one, other in zip(new, old, strict=True)
        )
