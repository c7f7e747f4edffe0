"""What a match in a terminal reads from and writes to."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class LineSource(Protocol):
    """Where typed lines come from, such as `sys.stdin`."""

    def readline(self) -> str:
        """Returns the next line, with its line break; an empty text at the end."""


@runtime_checkable
class Screen(Protocol):
    """Where text is shown, such as `sys.stdout`."""

    def write(self, text: str, /) -> object:
        """Shows `text`, maybe later."""

    def flush(self) -> object:
        """Shows everything written so far."""
