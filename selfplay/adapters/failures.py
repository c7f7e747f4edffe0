"""What went wrong in a user's Python while a compiled program was waiting for it.

XLA reports an exception of a callback as an internal error with a long text. The exception itself
is kept here, so that whoever meets that error can show the two lines that help.
"""

from selfplay.errors import GameContractError

_found: list[GameContractError] = []


def record(error: GameContractError) -> None:
    """Keeps `error` until `take` asks for it; the first one is the one that counts."""
    if not _found:
        _found.append(error)


def take() -> GameContractError | None:
    """Returns the failure kept since the last call, None if there is none."""
    return _found.pop() if _found else None
