"""One engine process: which match it was told, and how it is told another."""

import dataclasses
from collections.abc import Callable

from selfplay.arena.engines.setups import Setup
from selfplay.arena.engines.spec import Engine

Moves = tuple[tuple[int, str], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """One position, as an engine is told of it.

    Attributes:
        setup: how the first position is told, as `Setups.of` returns it.
        moves: since then.
        forced: plies of passes that were the only legal move.
        player: who is to move.
    """

    setup: Setup
    moves: Moves
    forced: frozenset[int]
    player: int


class EngineProcess:
    """One process and the position in which it stands."""

    def __init__(self, launch: Callable[[], Engine]) -> None:
        self._launch = launch
        self._engine: Engine | None = None
        self._at: Question | None = None

    def leads(self, question: Question) -> bool:
        """Returns whether the process stands on the way to this position."""
        at = self._at
        return (
            at is not None
            and at.setup == question.setup
            and at.moves == question.moves[: len(at.moves)]
        )

    @property
    def is_taken(self) -> bool:
        """Returns whether the process stands in some match."""
        return self._at is not None

    def engine(self) -> Engine:
        """Returns the process, started if need be."""
        if self._engine is None:
            self._engine = self._launch()
        return self._engine

    def answer(self, engine: Engine, question: Question) -> str:
        """Returns the move of the process."""
        at = self._at if self.leads(question) else None
        self._at = None
        if at is None:
            engine.begin(question.setup)
        told = 0 if at is None else len(at.moves)
        engine.play(question.moves[told:], forced={ply - told for ply in question.forced})
        return engine.choose(question.player)

    def remember(self, at: Question | None) -> None:
        """Notes where the process stands after its last move."""
        self._at = at

    def close(self) -> None:
        """Ends the process."""
        engine, self._engine, self._at = self._engine, None, None
        if engine is not None:
            engine.close()

    def kill(self) -> None:
        """Ends the process at once."""
        engine, self._engine, self._at = self._engine, None, None
        if engine is not None:
            engine.kill()
