"""Moves from a first position, and records of random matches."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class MoveSequence:
    """Moves from a first position.

    Attributes:
        start: key data of the first position.
        actions: the moves.
        outcomes: the chance outcome after each, -1 for none.
    """

    start: tuple[int, int]
    actions: tuple[int, ...] = ()
    outcomes: tuple[int, ...] = ()

    def then(self, action: int, outcome: int) -> "MoveSequence":
        """Returns the line with one move more."""
        return dataclasses.replace(
            self, actions=(*self.actions, action), outcomes=(*self.outcomes, outcome)
        )

    def first(self, length: int) -> "MoveSequence":
        """Returns the first moves of the line."""
        return dataclasses.replace(
            self, actions=self.actions[:length], outcomes=self.outcomes[:length]
        )

    def without(self, begin: int, end: int) -> "MoveSequence":
        """Returns the line without some of its moves."""
        return dataclasses.replace(
            self,
            actions=self.actions[:begin] + self.actions[end:],
            outcomes=self.outcomes[:begin] + self.outcomes[end:],
        )


@dataclasses.dataclass
class RandomMatches:
    """Records of random matches, one entry per match.

    Attributes:
        lines: the moves.
        finished: whether the match was over in the plies it was given.
        terminal: whether it ended by the rules, not by its length.
        returns: [matches, 2] at the end.
        last_movers: who made the last move.
        players: [plies] who was to move at each recorded ply, of all matches in a row.
        legal: [plies] how many actions were legal, likewise.
        again: plies after which the same player moved again, and all plies but the last ones.
        first_again: a shortest line after which the same player moves again.
        finals: states at the end, a list of host trees.
        kept: plies kept in full, as `KeptPly`.
        behaves: whether match and twin went on alike to the end.
        shows: whether they also looked the same all the way to the player to move, but for what
            only tells the players apart.
        starts: distinct first positions.
    """

    lines: list[MoveSequence] = dataclasses.field(default_factory=list)
    finished: list[bool] = dataclasses.field(default_factory=list)
    terminal: list[bool] = dataclasses.field(default_factory=list)
    returns: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    last_movers: list[int] = dataclasses.field(default_factory=list)
    players: list[int] = dataclasses.field(default_factory=list)
    legal: list[int] = dataclasses.field(default_factory=list)
    again: list[int] = dataclasses.field(default_factory=lambda: [0, 0])
    first_again: MoveSequence | None = None
    finals: list[Any] = dataclasses.field(default_factory=list)
    kept: list["KeptPly"] = dataclasses.field(default_factory=list)
    behaves: list[bool] = dataclasses.field(default_factory=list)
    shows: list[bool] = dataclasses.field(default_factory=list)
    starts: set[bytes] = dataclasses.field(default_factory=set)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptPly:
    """One ply kept in full, on the host.

    Attributes:
        line: the moves before it.
        match: index of the match.
        state: before the action.
        action: what was played, -1 if the match was over.
        after: state after it, chance included.
        before_facts: `ply.PositionFacts` of `state`.
    """

    line: MoveSequence
    match: int
    state: Any
    action: int
    after: Any
    before_facts: Any
