"""Exact solutions of small or late positions: a search to the end, for the `solve` of a game.

Plain Python on the host. The limit counts positions and not seconds, so that every machine
answers the same questions, and evaluations of different machines can be compared.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from selfplay.game.rules import Solution

_LOWEST, _HIGHEST = -1.0, 1.0
# Results that are less than this apart are the same result, rounded.
_ROUNDING = 1e-6

_limit: contextvars.ContextVar[int | None] = contextvars.ContextVar("solver_limit", default=None)


class Reply(NamedTuple):
    """A legal move, and what it leads to.

    Attributes:
        action: its number.
        position: the position after it: hashable, and equal only to positions that have the same
            value. It must say who is to move if that matters to the value.
        again: whether the same player moves again.
    """

    action: int
    position: Any
    again: bool = False


def solve_exactly(
    replies: Sequence[Reply],
    expand: Callable[[Any], float | Sequence[Reply]],
    *,
    max_positions: int,
) -> Solution | None:
    """Returns the exact solution of a position, or None if the limit does not suffice.

    Alpha-beta search with a table of what is known of positions that were met before. Good moves
    first make it fast. No position may come back in the course of a match.

    Args:
        replies: every legal move of the position, at least one.
        expand: of a position that can follow: its value in [-1, 1] for the player to move, if the
            match is over or the value is plain to see; else the legal moves, good ones first.
            Moves that are known to lose may be left out if another one is named.
        max_positions: how many times `expand` may be called, unless `solver_limit` says
            otherwise. A position deeper than Python can recurse counts as one too many.

    >>> def heap(stones):  # take 1 or 2 stones; who takes the last one wins
    ...     replies = [Reply(taken - 1, stones - taken) for taken in (1, 2) if taken <= stones]
    ...     return replies or -1.0
    >>> solve_exactly(heap(10), heap, max_positions=100)
    Solution(value=1.0, actions=(0,))
    >>> solve_exactly(heap(10), heap, max_positions=5) is None
    True
    """
    search = _Search(expand, _limit.get() or max_positions)
    try:
        return search.solution(replies)
    except (_TooManyPositionsError, RecursionError):
        return None


@contextlib.contextmanager
def solver_limit(max_positions: int) -> Iterator[None]:
    """Lets `solve_exactly` look at so many positions in this thread while the block runs.

    The limits that games set keep an answer within a second. Whoever labels positions once has
    more time.

    Args:
        max_positions: at least 1, whatever the game says; a million take some 5 seconds and up to
            half a gigabyte.

    >>> def heap(stones):
    ...     return [Reply(taken - 1, stones - taken) for taken in (1, 2) if taken <= stones] or -1.0
    >>> with solver_limit(100):
    ...     solve_exactly(heap(10), heap, max_positions=5)
    Solution(value=1.0, actions=(0,))
    """
    token = _limit.set(max_positions)
    try:
        yield
    finally:
        _limit.reset(token)


class _TooManyPositionsError(Exception):
    """The limit is reached."""


class _Search:
    """One search, with its table."""

    def __init__(
        self, expand: Callable[[Any], float | Sequence[Reply]], max_positions: int
    ) -> None:
        self._expand = expand
        self._left = max_positions
        # The lowest and the highest value that a position may still have, for the player to move.
        self._bounds: dict[Any, tuple[float, float]] = {}

    def solution(self, replies: Sequence[Reply]) -> Solution:
        """Returns the value and every move that reaches it."""
        best = max(_LOWEST, self._after(replies[0], _LOWEST, _HIGHEST))
        for reply in replies[1:]:
            if best >= _HIGHEST:
                break
            best = max(best, self._after(reply, best, _HIGHEST))
        below = best - _ROUNDING
        return Solution(
            value=best,
            actions=tuple(
                reply.action
                for reply in replies
                if best <= _LOWEST or self._after(reply, below, best) > below
            ),
        )

    def _after(self, reply: Reply, low: float, high: float) -> float:
        if reply.again:
            return self._value(reply.position, low, high)
        return -self._value(reply.position, -high, -low)

    def _value(self, position: Any, low: float, high: float) -> float:
        """Returns the value if it lies between `low` and `high`, else a bound on the same side."""
        bounds = self._bounds
        floor, ceiling = bounds.get(position, (_LOWEST, _HIGHEST))
        if floor >= high or floor == ceiling:
            return floor
        if ceiling <= low:
            return ceiling
        if self._left <= 0:
            raise _TooManyPositionsError
        self._left -= 1
        replies = self._expand(position)
        if isinstance(replies, float):
            bounds[position] = (replies, replies)
            return replies
        # A reply that is known to be good enough saves the search of the others.
        for _, after, again in replies:
            known = bounds.get(after)
            if known is not None:
                value = known[0] if again else -known[1]
                if value >= high:
                    bounds[position] = (max(floor, value), ceiling)
                    return value
        best, lowest = _LOWEST, low
        for _, after, again in replies:
            if again:
                value = self._value(after, lowest, high)
            else:
                value = -self._value(after, -high, -lowest)
            if value > best:
                best = value
                if best >= high:
                    break
                lowest = max(lowest, best)
        if best >= high:
            bounds[position] = (max(floor, best), ceiling)
        elif best > low:
            bounds[position] = (best, best)
        else:
            bounds[position] = (floor, min(ceiling, best))
        return best
