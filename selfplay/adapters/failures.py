"""Keeps errors of a user's Python code that a compiled program called.

XLA reports an exception of a callback as an internal error with a long text. The exception itself
is kept here, so that the command can show its two lines.
"""

from selfplay.errors import GameContractError

_found: list[GameContractError] = []


def record(error: GameContractError) -> None:
    """Keeps `error` until `take` is called; only the first one is kept."""
    if not _found:
        _found.append(error)


def take() -> GameContractError | None:
    """Returns the failure kept since the last call, None if there is none."""
    return _found.pop() if _found else None
