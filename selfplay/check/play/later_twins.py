"""Twins that begin in the middle of a match, where none from the first position proves anything.

A swap rule exchanges the players' sides after the first move: the first position cannot be handed
to the other player, but every later one can. So a position that looks the same to the player to
move when it is handed to the other player is handed over, and the match and its twin are played on.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from selfplay.check.play.exchange import Exchange
from selfplay.check.play.explorer import Explorer
from selfplay.check.play.rows import facts_now, flags_of, random_action
from selfplay.check.play.sequence import MoveSequence

_LATEST = 12
_DECIDED = 1e-6


@dataclasses.dataclass
class LaterTwins:
    """What twins that begin in the middle of matches showed.

    Attributes:
        exchange: how positions were handed over.
        agree: decided matches whose twin looked the same to the end and had the opposite result.
        differ: matches whose twin looked the same, but did not end, move or allow the same.
        wrong: matches whose twin looked the same and did not have the opposite result, with the
            plies before the twin began.
    """

    exchange: Exchange
    agree: int = 0
    differ: int = 0
    wrong: list[tuple[MoveSequence, int]] = dataclasses.field(default_factory=list)


def later_twins(
    explorer: Explorer,
    exchange: Exchange,
    starts: Sequence[tuple[int, int]],
    *,
    seed: int,
    max_plies: int,
) -> LaterTwins:
    """Plays random matches, each with a twin that begins after one to twelve plies.

    Args:
        explorer: plays the matches.
        exchange: hands positions over.
        starts: key data of first positions; at most a batch is used.
        seed: decides the moves, and where twins begin.
        max_plies: no match goes on for longer.
    """
    draw = np.random.default_rng(seed)
    starts = list(starts)[: explorer.batch_size]
    count = len(starts)
    result = LaterTwins(exchange)
    lines = [MoveSequence(start=start) for start in starts]
    match, facts, _ = explorer.started(lines)
    begins = draw.integers(1, _LATEST + 1, size=count)
    has_twin = np.zeros(count, bool)
    ended = np.zeros(count, bool)
    for ply in range(max_plies):
        over = np.asarray(facts.over)[:count]
        if over.all():
            break
        wanted = ~has_twin & ~over & (ply >= begins)
        if wanted.any():
            handed = explorer.handed_over(match, exchange)
            new = np.zeros(explorer.batch_size, bool)
            new[:count] = wanted & np.asarray(handed.looks)[:count]
            has_twin |= new[:count]
            begins[new[:count]] = ply
            match = _where(new, handed, match)
        actions = [
            -1 if over[row] else random_action(facts.mask[row], draw) for row in range(count)
        ]
        looked = np.asarray(match.looks)[:count] & has_twin & ~ended
        probe = explorer.play(match, actions, [-1] * count, draw.random(count))
        flags = flags_of(probe.broken)
        for row in np.flatnonzero(np.asarray(probe.played)[:count]).tolist():
            lines[row] = lines[row].then(actions[row], int(probe.outcome[row]))
            if not looked[row]:
                continue
            if flags["value-sign:opposite"][row]:
                result.wrong.append((lines[row], int(begins[row])))
            elif not probe.match.keeps[row]:
                result.differ += 1
            elif probe.after.over[row]:
                result.agree += abs(float(probe.after.returns[row][0])) > _DECIDED
        ended |= np.asarray(probe.after.over)[:count]
        match, facts = probe.match, facts_now(probe)
    return result


def _where(rows: np.ndarray, one: Any, other: Any) -> Any:
    """Returns some rows of one batch, and those of another elsewhere."""
    return jax.tree.map(
        lambda left, right: np.where(rows.reshape(-1, *[1] * (left.ndim - 1)), left, right),
        one,
        other,
    )
