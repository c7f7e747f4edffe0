"""The base classes for games in ordinary Python, without JAX."""

import abc
import random
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from selfplay.game import (
    BoardView,
    EngineSetup,
    Solution,
    Symmetry,
    named_action,
    setup_from_attributes,
)

P = TypeVar("P")


class PythonGame(abc.ABC, Generic[P]):
    """The rules of a two-player zero-sum game of perfect information, without JAX.

    Subclass it, set the class attributes (or set them in `__init__` from constructor options)
    and write the seven methods below. A state is any object: a list, a tuple, one of your own
    classes. The same commands as for any other game train, play and record it, only slower; see
    docs/python-games.md.

    Two rules. `apply` returns a new state and leaves its argument as it was. The same arguments
    always give the same result: all randomness comes from `rng`, at the start. Dice in the
    middle of a match are a `PythonChanceGame`.

    Attributes:
        name: a short lower-case identifier.
        title: what people call the game; by default made from `name`.
        version: increase it when the rules or the observation change.
        num_actions: actions are 0 ... num_actions - 1.
        max_plies: at this ply a match ends, scored by `returns`, and is marked truncated.
        hidden_information: whether the rules hide something from a player that `observe` leaves
            out on purpose. Searches see it nevertheless; `train` and `arena` print a note.
        suite_file: see `selfplay.game.Game`.
    """

    name: str
    title: str = ""
    version: int = 1
    num_actions: int
    max_plies: int
    hidden_information: bool = False
    suite_file: str = ""

    @abc.abstractmethod
    def initial_state(self, rng: random.Random) -> P:
        """Returns the first position; use `rng` for random starts only."""

    @abc.abstractmethod
    def apply(self, state: P, action: int) -> P:
        """Returns the position after `action`, which is legal in `state`; changes nothing."""

    @abc.abstractmethod
    def legal_actions(self, state: P) -> Sequence[int]:
        """Returns the legal actions, at least one; not called for a terminal position."""

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
        """Returns the observation from the viewpoint of the player to move.

        Numbers in nested lists (or a NumPy array), always of the same shape: [height, width,
        planes] for a board, or [features]. Not called for a terminal position.
        """

    def symmetries(self) -> Sequence[Symmetry[P]]:
        """Returns the symmetries of the game, without the identity.

        `selfplay.Symmetry` with a `map_state` that returns the image of one of your own states,
        and changes nothing. None of them may change who is to move.
        """
        return ()

    def exchange_players(self, state: P) -> P | None:
        """Returns the position with the players exchanged, or None if that means nothing here.

        Everything of player 0 then belongs to player 1 and vice versa, and the other player is to
        move; the argument stays as it was. Actions keep their numbers, so write it only for a game
        in
        which both players have the same moves. Training does not use it. `selfplay check` tests
        that the image of every position looks the same to the player to move, has the same legal
        actions, and the opposite result.
        """
        return None

    def auxiliary_targets(self, state: P, final_state: P) -> Mapping[str, Any]:
        """Returns further targets for the network at `state`, from the end of the match.

        Named numbers in [-1, 1], or nested lists of them, of shapes that never change, seen by
        the player to move at `state`: ownership of cells, a score.
        """
        return {}

    def render(self, state: P) -> str:
        """Returns the position as text for a terminal."""
        return str(state)

    def action_to_string(self, state: P, action: int) -> str:
        """Returns the text of `action` in this position."""
        return str(action)

    def string_to_action(self, state: P, text: str) -> int:
        """Returns the legal action a person means by `text`; the inverse of `action_to_string`.

        Raises:
            IllegalActionError: no legal action is written like that.
        """
        names = {
            self.action_to_string(state, action): action for action in self.legal_actions(state)
        }
        return named_action(names, text)

    def board(self, state: P) -> BoardView | None:
        """Returns the position for a graphical board, or None if the game has no cells."""
        return None

    def engine_setup(self, first: P) -> EngineSetup:
        """Returns how to tell an engine the first position of a match.

        As `selfplay.game.Game.engine_setup`: by default from the attributes `size` and `komi`.
        """
        return setup_from_attributes(self)

    def solve(self, state: P) -> Solution | None:
        """Returns the exact solution of a position, or None if not known.

        What it is used for: see `selfplay.game.Game.solve`.
        """
        return None


class PythonChanceGame(PythonGame[P]):
    """The rules of a game with dice, or with any chance that both players see, without JAX.

    A ply has two halves, as in `selfplay.game.ChanceGame`: `apply` plays an action and leads to
    an afterstate; then, if `is_chance` says so, one outcome is drawn and `resolve` leads to the
    next position. A roll before a move belongs to the end of the previous ply; draw the first roll
    in `initial_state`, from its `rng`. So `current_player`, `legal_actions` and `observe` are not
    called for afterstates. A match that is over in an afterstate, by the
    rules or at `max_plies`, ends there without an outcome.

    Do not roll in these methods: selfplay draws the outcomes with your probabilities, and its
    search takes expectations over them.

    Attributes:
        num_outcomes: outcomes are 0 ... num_outcomes - 1.
    """

    num_outcomes: int

    @abc.abstractmethod
    def chance_probabilities(self, state: P) -> Sequence[float]:
        """Returns the probability of each outcome in an afterstate with chance; their sum is 1."""

    @abc.abstractmethod
    def resolve(self, state: P, outcome: int) -> P:
        """Returns the position after `outcome`, possible in the afterstate; changes nothing."""

    def is_chance(self, state: P) -> bool:
        """Returns whether chance comes before the next move; by default unless the match is over.

        Called only for states that `apply` returned and that are not terminal.
        """
        return True

    def outcome_to_string(self, state: P, outcome: int) -> str:
        """Returns the text of `outcome` in the afterstate `state`, without spaces."""
        return str(outcome)
