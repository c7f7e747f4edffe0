"""Leaves moves out of those that break a law, as long as the rest still breaks it."""

from collections.abc import Iterator, Sequence

import numpy as np

from selfplay.check.play.explorer import Explorer
from selfplay.check.play.rows import flags_of
from selfplay.check.play.sequence import MoveSequence

_ROUNDS = 40


def shortened(
    explorer: Explorer,
    law: str,
    line: MoveSequence | None = None,
    *,
    last: int | None = None,
    tries: int = 4096,
) -> MoveSequence:
    """Returns fewer moves that break the same law, if leaving moves out leads to some.

    Args:
        explorer: plays the moves.
        law: a key of `Explorer.found`.
        line: the moves to shorten; those of `found` by default.
        last: the move that must break it; any by default.
        tries: how many sequences to try at most.
    """
    line = explorer.found[law] if line is None else line
    for _ in range(_ROUNDS):
        length = len(line.actions)
        candidates = [
            line.without(begin, min(begin + size, length))
            for size in _sizes(length)
            for begin in range(0, length, max(1, size // 2) if size > 2 else 1)
        ][:tries]
        tries -= len(candidates)
        best = line
        for begin in range(0, len(candidates), explorer.batch_size):
            some = candidates[begin : begin + explorer.batch_size]
            for shown in _breaking(explorer, law, some, last):
                if len(shown.actions) < len(best.actions):
                    best = shown
            if len(best.actions) < length - 2:
                break
        if len(best.actions) == length or tries <= 0:
            return best
        line = best
    return line


def _breaking(
    explorer: Explorer, law: str, lines: Sequence[MoveSequence], last: int | None
) -> Iterator[MoveSequence]:
    """Yields, of each sequence that breaks the law, the first moves that do."""
    match, _, broken = explorer.started(lines)
    done = [False] * len(lines)
    draw = np.random.default_rng(0)
    if law in broken:
        for row, line in enumerate(lines):
            if broken[law][row]:
                done[row] = True
                yield line.first(0)
    for ply in range(max(len(line.actions) for line in lines) + 1):
        actions = [
            line.actions[ply] if ply < len(line.actions) and not done[row] else -1
            for row, line in enumerate(lines)
        ]
        outcomes = [line.outcomes[ply] if ply < len(line.outcomes) else -1 for line in lines]
        probe = explorer.play(match, actions, outcomes, draw.random(len(lines)))
        flags = flags_of(probe.broken)[law]
        for row, line in enumerate(lines):
            if not done[row] and flags[row] and last in (None, actions[row]):
                done[row] = True
                yield line.first(ply if explorer.is_of_positions(law) else ply + 1)
            elif not probe.played[row]:
                done[row] = True
        if all(done):
            return
        match = probe.match


def _sizes(length: int) -> list[int]:
    """Returns how many moves to leave out at once: half of them, a quarter, ... one."""
    sizes = []
    while length > 1:
        length //= 2
        sizes.append(length)
    return sizes or [1]
