"""Every error a user of selfplay can meet.

SelfplayError
├── ConfigError          a setting or command-line value is out of range or unknown (exits 2)
│   └── UnknownGameError a game specification that names nothing (exits 2)
├── GameContractError    a user's Game breaks the contract in selfplay.game
├── IllegalActionError   somebody chose an action that the rules forbid here
├── RunError             a run directory is missing, foreign, or belongs to another game
├── CheckpointError      a checkpoint is missing, damaged or from another game
├── RecordError          a match record is damaged or does not replay under the rules
├── StorageError         the disk is full or refuses a write
├── EngineError          a program that plays by GTP or UCI failed, or answered nonsense
├── NonFiniteError       training met a loss, gradient or weight that is NaN or infinite
└── MissingExtraError    an optional dependency is not installed
"""


class SelfplayError(Exception):
    """Base of all errors meant for the user.

    Attributes:
        hint: why, or what to type; empty where the message says it all.

    >>> import selfplay
    >>> try:
    ...     selfplay.make("othelo")
    ... except selfplay.SelfplayError as error:
    ...     print("error:", error)
    error: 'othelo' is not a game
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            # Below the message in a traceback, as outside the command line nothing else shows it.
            self.add_note(f"hint: {hint}")


class ConfigError(SelfplayError):
    """A setting is out of range, unknown, or contradicts another."""

    exit_code = 2


class UnknownGameError(ConfigError):
    """A game specification names no game."""


class GameContractError(SelfplayError):
    """A user's `Game` breaks its contract.

    Attributes:
        rule: name of the broken rule, as `selfplay check` lists them; "" where none is named.
        start: seed or key data of the first position; () where no position is meant.
        moves: actions that lead from there to the position in which it is broken.
        outcomes: the chance outcome after each, -1 for none.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        rule: str = "",
        start: tuple[int, ...] = (),
        moves: tuple[int, ...] = (),
        outcomes: tuple[int, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.rule = rule
        self.start = start
        self.moves = moves
        self.outcomes = outcomes


class IllegalActionError(SelfplayError):
    """An action is not legal in this position."""


class RunError(SelfplayError):
    """A run directory cannot be used as asked."""


class CheckpointError(SelfplayError):
    """A checkpoint cannot be read."""


class RecordError(SelfplayError):
    """A match record cannot be read or replayed."""


class StorageError(SelfplayError):
    """A write failed for want of space or permission."""


class EngineError(SelfplayError):
    """A program that plays for us failed, was silent for too long, or broke its protocol."""


class NonFiniteError(SelfplayError):
    """Training produced a number that is not finite; nothing was published."""


class MissingExtraError(SelfplayError):
    """An optional dependency is needed for this."""


class EarlierVersionWarning(FutureWarning):
    """Something is written as an earlier version of selfplay wanted it; it still works."""
