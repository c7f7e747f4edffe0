"""What a person writes who does not want to write JAX: the rules in ordinary Python."""

import abc
import random
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from selfplay.errors import IllegalActionError
from selfplay.game import BoardView, Solution

P = TypeVar("P")


class PythonGame(abc.ABC, Generic[P]):
    """The rules of a two-player zero-sum game of perfect information, without JAX.

    Subclass it, set the class attributes (or set them in `__init__` from constructor options)
    and write the seven methods below. A state is any object: a list, a tuple, one of your own
    classes. It trains, plays and is recorded by the same commands as any other game, only slower;
    see docs/python-games.md.

    Two rules. `apply` returns a new state and leaves its argument as it was. The same arguments
    always give the same answer: all that is random comes from `rng`, at the start.

    Attributes:
        name: a short lower-case identifier.
        version: raise it when the rules or the observation change.
        num_actions: actions are 0 ... num_actions - 1.
        max_plies: at this ply a match ends, scored by `returns`, and is marked truncated.
    """

    name: str
    version: int = 1
    num_actions: int
    max_plies: int

    @abc.abstractmethod
    def initial_state(self, rng: random.Random) -> P:
        """Returns the first position; `rng` is for random starts, ignore it otherwise."""

    @abc.abstractmethod
    def apply(self, state: P, action: int) -> P:
        """Returns the position after `action`, which is legal in `state`; changes nothing."""

    @abc.abstractmethod
    def legal_actions(self, state: P) -> Sequence[int]:
        """Returns the legal actions, at least one; never asked of a position that is terminal."""

    @abc.abstractmethod
    def current_player(self, state: P) -> int:
        """Returns who is to move, 0 or 1. The same player may move twice in a row."""

    @abc.abstractmethod
    def is_terminal(self, state: P) -> bool:
        """Returns whether the match is over."""

    @abc.abstractmethod
    def returns(self, state: P) -> Sequence[float]:
        """Returns the result for player 0 and player 1, in [-1, 1], summing to 0.

        Must be defined for any state, because a match that reaches `max_plies` is scored by it.
        """

    @abc.abstractmethod
    def observe(self, state: P) -> Any:
        """Returns what the player to move sees, from that player's side.

        Numbers in nested lists (or a NumPy array), always of the same shape: [height, width,
        planes] for a board, or [features]. Never asked of a position that is terminal.
        """

    def render(self, state: P) -> str:
        """Returns the position as text for a terminal."""
        return str(state)

    def action_to_string(self, state: P, action: int) -> str:
        """Returns how a person writes `action` in this position."""
        return str(action)

    def string_to_action(self, state: P, text: str) -> int:
        """Returns the legal action a person means by `text`; the inverse of `action_to_string`.

        Raises:
            IllegalActionError: no legal action is written like that.
        """
        names = {
            self.action_to_string(state, action): action for action in self.legal_actions(state)
        }
        wanted = text.strip().casefold()
        for name, action in names.items():
            if name.casefold() == wanted:
                return action
        raise IllegalActionError(
            f"{text.strip()!r} is not a legal move here", hint=f"legal moves: {' '.join(names)}"
        )

    def board(self, state: P) -> BoardView | None:
        """Returns the position for a graphical board, or None if the game has no cells."""
        return None

    def solve(self, state: P) -> Solution | None:
        """Returns the exact solution of a position, or None if not known."""
        return None
