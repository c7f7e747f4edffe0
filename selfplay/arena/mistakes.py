"""How often an agent errs where perfect play is known, by ply.

A mistake is a move after which the result under perfect play is worse than it was before: one that
the game's `solve` does not name. In a game of chance the result is the expected one.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Int32

from selfplay.arena.agents import DEFAULT_BATCH_SIZE, Agent, Analyst
from selfplay.arena.batches import take
from selfplay.arena.openings import Opening
from selfplay.arena.solved import SolvedPositions
from selfplay.arena.statistics import Interval, wilson_interval
from selfplay.configuration import check_range
from selfplay.errors import IllegalActionError

_PHASES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class MistakeCount:
    """Mistakes in the positions of one ply, or of several in a row.

    Attributes:
        first_ply: the earliest ply.
        last_ply: the latest one.
        positions: how many the agent was asked about, at least 1.
        at_stake: in how many of them some legal move is a mistake.
        mistakes: in how many of them the agent made one.
        raw_mistakes: likewise for the likeliest move of its evaluator, such as the raw network,
            without search; None for agents that have none.
        random_share: the share of mistakes that random moves make there, in [0, 1].
    """

    first_ply: int
    last_ply: int
    positions: int
    at_stake: int
    mistakes: int
    raw_mistakes: int | None
    random_share: float

    @property
    def share(self) -> float:
        """Returns the share of the positions in which the agent errs, in [0, 1]."""
        return self.mistakes / self.positions

    @property
    def raw_share(self) -> float | None:
        """Returns the same of its evaluator alone, None if it has none."""
        return None if self.raw_mistakes is None else self.raw_mistakes / self.positions

    @property
    def interval(self) -> Interval:
        """Returns the 95 % interval of `share`, as of a sample of a far larger set."""
        return wilson_interval(self.share, self.positions)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values: the fields, `share`, its interval `low` and `high`, `raw_share`."""
        return {
            **dataclasses.asdict(self),
            "share": self.share,
            "low": self.interval.low,
            "high": self.interval.high,
            "raw_share": self.raw_share,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mistake:
    """One of them.

    Attributes:
        opening: how the position was reached.
        action: the move that was chosen.
        best: the moves that keep the value.
    """

    opening: Opening
    action: int
    best: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "ply": len(self.opening.actions),
            **self.opening.to_dict(),
            "action": self.action,
            "best": list(self.best),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class MistakeTable:
    """What an agent did in a set of solved positions.

    Attributes:
        agent: its name.
        position_set: id of the positions.
        unknown: further positions that the solver has no answer to.
        skipped: further positions that it was not asked about, for want of time.
        by_ply: for each ply that has positions, in order.
        made: every mistake, by ascending ply.
    """

    agent: str
    position_set: str
    unknown: int
    skipped: int
    by_ply: tuple[MistakeCount, ...]
    made: tuple[Mistake, ...]

    @property
    def all(self) -> MistakeCount:
        """Returns the count over all plies; there must be a position."""
        return _merged(self.by_ply)

    @property
    def phases(self) -> tuple[MistakeCount, ...]:
        """Returns the counts of the first, second and last third of the plies with positions."""
        first, last = self.by_ply[0].first_ply, self.by_ply[-1].last_ply
        thirds: list[list[MistakeCount]] = [[] for _ in range(_PHASES)]
        for count in self.by_ply:
            thirds[(count.first_ply - first) * _PHASES // (last - first + 1)].append(count)
        return tuple(_merged(third) for third in thirds if third)

    def to_dict(self) -> dict[str, Any]:
        """Returns what is stored of it, `made` left out; there must be a position."""
        return {
            "agent": self.agent,
            "position_set": self.position_set,
            "unknown": self.unknown,
            "skipped": self.skipped,
            **self.all.to_dict(),
            "phases": [count.to_dict() for count in self.phases],
            "by_ply": [count.to_dict() for count in self.by_ply],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices:
    """The moves of an agent in `n` solved positions.

    Attributes:
        actions: the move that it plays in each.
        raw_actions: the likeliest move of its evaluator, such as the raw network, without search;
            None for agents that have none.
    """

    actions: Int32[np.ndarray, " n"]
    raw_actions: Int32[np.ndarray, " n"] | None

    def mistakes(self, solved: SolvedPositions) -> Bool[np.ndarray, " n"]:
        """Returns in which of the positions the move is a mistake."""
        return ~solved.best[np.arange(len(self.actions)), self.actions]

    def raw_mistakes(self, solved: SolvedPositions) -> Bool[np.ndarray, " n"] | None:
        """Returns the same of the evaluator alone, None if the agent has none."""
        if self.raw_actions is None:
            return None
        return ~solved.best[np.arange(len(self.raw_actions)), self.raw_actions]


def choose_moves(
    agent: Agent,
    solved: SolvedPositions,
    *,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH_SIZE,
    progress: Callable[[], None] = lambda: None,
) -> Choices:
    """Asks an agent for its move in every position; see `measure_mistakes` for the arguments.

    Raises:
        IllegalActionError: the agent chose a move that the rules forbid.
    """
    check_range("batch_size", batch_size, low=1)
    rows = np.arange(len(solved.openings))
    actions = np.zeros(len(rows), np.int32)
    raw_actions: np.ndarray | None = np.zeros(len(rows), np.int32)
    for turn, first in enumerate(range(0, len(rows), batch_size)):
        progress()
        chosen = rows[first : first + batch_size]
        positions = take(solved.positions, chosen)
        key = jax.random.fold_in(jax.random.key(seed), turn)
        if not isinstance(agent, Analyst):
            actions[chosen], raw_actions = agent.select(positions, key=key), None
            continue
        analyses = agent.analyse(positions, key=key)
        actions[chosen] = [one.action for one in analyses]
        policies = [one.raw_policy for one in analyses if one.raw_policy is not None]
        if raw_actions is None or len(policies) < len(analyses):
            raw_actions = None
        else:
            raw_actions[chosen] = np.argmax(policies, axis=1)
    in_range = (actions >= 0) & (actions < solved.legal.shape[1])
    for row in rows[~(in_range & solved.legal[rows, np.where(in_range, actions, 0)])].tolist():
        raise IllegalActionError(
            f"agent {agent.name} chose action {actions[row]} after the moves "
            f"{list(solved.openings[row].actions)}, which is not legal"
        )
    return Choices(actions=actions, raw_actions=raw_actions)


def measure_mistakes(
    agent: Agent,
    solved: SolvedPositions,
    *,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH_SIZE,
    progress: Callable[[], None] = lambda: None,
) -> MistakeTable:
    """Asks an agent for its move in every position, and returns how often it errs.

    Args:
        agent: of the game that the positions are of.
        solved: the positions, as `solve_positions` returns them.
        seed: of the agent's random choices.
        batch_size: how many positions it is asked about at once.
        progress: called before each time it is asked; may raise to break off.

    Raises:
        IllegalActionError: the agent chose a move that the rules forbid.
    """
    choices = choose_moves(agent, solved, seed=seed, batch_size=batch_size, progress=progress)
    wrong, raw_wrong = choices.mistakes(solved), choices.raw_mistakes(solved)
    plies = np.array([len(opening.actions) for opening in solved.openings], np.int32)
    losing = (solved.legal & ~solved.best).sum(axis=1)
    shares = losing / np.maximum(1, solved.legal.sum(axis=1))

    def count(ply: int) -> MistakeCount:
        there = plies == ply
        return MistakeCount(
            first_ply=ply,
            last_ply=ply,
            positions=int(there.sum()),
            at_stake=int((losing[there] > 0).sum()),
            mistakes=int(wrong[there].sum()),
            raw_mistakes=None if raw_wrong is None else int(raw_wrong[there].sum()),
            random_share=float(shares[there].mean()),
        )

    return MistakeTable(
        agent=agent.name,
        position_set=solved.position_set,
        unknown=solved.unknown,
        skipped=solved.skipped,
        by_ply=tuple(count(int(ply)) for ply in np.unique(plies)),
        made=tuple(
            Mistake(
                opening=solved.openings[row],
                action=int(choices.actions[row]),
                best=tuple(np.flatnonzero(solved.best[row]).tolist()),
            )
            for row in np.flatnonzero(wrong).tolist()
        ),
    )


def _merged(counts: Iterable[MistakeCount]) -> MistakeCount:
    counts = list(counts)
    positions = sum(count.positions for count in counts)
    raw = [count.raw_mistakes for count in counts if count.raw_mistakes is not None]
    return MistakeCount(
        first_ply=counts[0].first_ply,
        last_ply=counts[-1].last_ply,
        positions=positions,
        at_stake=sum(count.at_stake for count in counts),
        mistakes=sum(count.mistakes for count in counts),
        raw_mistakes=sum(raw) if len(raw) == len(counts) else None,
        random_share=sum(count.random_share * count.positions for count in counts) / positions,
    )
