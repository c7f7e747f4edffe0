"""One ply of a match and of its twin in compiled code: the facts that the laws are tested on.

Every match has a *twin*: the same moves from the same first position, with the other player to
move (`selfplay.check.play.exchange`). As long as both have looked the same to the player to move,
the twin must go on in the same way, and its result must be the opposite. That shows a result with
the wrong sign and an observation from the wrong side without knowing anything else of the game.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Array, Bool, Float32, Int32, PyTree

from selfplay.game import Game, Position, Symmetry, pytree


@pytree
class PairedMatch:
    """Where a match and its twin stand.

    Attributes:
        position: of the match.
        twin: state of the twin; the state itself where the game has none.
        looks: whether the twin has looked the same so far to the player to move.
        shows: the same but for numbers of the observation that only tell the players apart.
        keeps: whether masks, ends and players have been the same so far.
        behaves: whether the results were opposite, too.
    """

    position: Position[Any]
    twin: PyTree
    looks: Bool[Array, ""]
    shows: Bool[Array, ""]
    keeps: Bool[Array, ""]
    behaves: Bool[Array, ""]


@pytree
class PositionFacts:
    """What the rules say of a position."""

    mask: Bool[Array, " A"]
    player: Int32[Array, ""]
    terminal: Bool[Array, ""]
    over: Bool[Array, ""]
    returns: Float32[Array, "2"]
    observation: Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """The first position of a match and of its twin, while the laws are compiled.

    Attributes:
        facts: of the first position.
        has_twin: whether there is a twin.
        looks: whether its first position looks the same to the player to move.
        shows: the same but for numbers of the observation that only tell the players apart.
        same_mask: whether the same actions are legal.
        keeps: whether the other player is to move in it, with the same actions and the same end.
    """

    facts: PositionFacts
    has_twin: Bool[Array, ""]
    looks: Bool[Array, ""]
    shows: Bool[Array, ""]
    same_mask: Bool[Array, ""]
    keeps: Bool[Array, ""]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwinFacts:
    """The twin of a match at one ply.

    Attributes:
        before: both matches before the move, with what they have had in common so far.
        returns: results of the twin after the move.
        same_end: whether both are over, or neither.
        same_player: whether the other player is to move in the twin; True if the match is over.
        same_mask: whether the same actions are legal after the move, likewise.
        same_returns: whether results are opposite; True if the match is not over.
        alike: whether the player to move sees the same, likewise.
        shown: the same but for numbers that only tell the players apart.
    """

    before: PairedMatch
    returns: Float32[Array, "2"]
    same_end: Bool[Array, ""]
    same_player: Bool[Array, ""]
    same_mask: Bool[Array, ""]
    same_returns: Bool[Array, ""]
    alike: Bool[Array, ""]
    shown: Bool[Array, ""]

    @property
    def same_rules(self) -> Bool[Array, ""]:
        """Returns whether ends, players and masks are the same."""
        return self.same_end & self.same_player & self.same_mask

    @property
    def all_same(self) -> Bool[Array, ""]:
        """Returns whether results are opposite, too."""
        return self.same_rules & self.same_returns


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ply:
    """One action in a position, while the laws are compiled.

    Attributes:
        game: the rules.
        symmetries: those to hold.
        number: plies before it.
        state: before the action.
        before: what the rules say of it.
        live: whether the match was not over.
        action: what is played, clipped to the actions there are.
        legal: whether it is legal here, and the match is not over.
        stepped: the state after `step`, before chance.
        outcome: the chance outcome that follows, -1 for none.
        played: whether the action is legal and the outcome possible.
        after_state: after the action and its outcome.
        after: what the rules say of it.
        goes_on: whether it was played, and the match is not over.
        unchanged: whether the state is the same after the action.
        quiet: whether the action changed nothing but who is to move, and counters by one.
        twin: the twin of the match.
    """

    game: Game[Any]
    symmetries: Sequence[Symmetry[Any]]
    number: Int32[Array, ""]
    state: PyTree
    before: PositionFacts
    live: Bool[Array, ""]
    action: Int32[Array, ""]
    legal: Bool[Array, ""]
    stepped: PyTree
    outcome: Int32[Array, ""]
    played: Bool[Array, ""]
    after_state: PyTree
    after: PositionFacts
    goes_on: Bool[Array, ""]
    unchanged: Bool[Array, ""]
    quiet: Bool[Array, ""]
    twin: TwinFacts


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlyLaws:
    """The laws that are tested in compiled code, as functions from facts to what is broken.

    Attributes:
        at_start: laws of a first position.
        at_ply: laws of a position or a move; an entry may have one number for each symmetry.
        of_positions: names of those that are about a position. All others are about a move, which
            belongs to the moves that show it.
    """

    at_start: Callable[[Start], dict[str, Array]]
    at_ply: Callable[[Ply], dict[str, Array]]
    of_positions: frozenset[str]
