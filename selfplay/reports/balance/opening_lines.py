"""Which openings are played: how often, and how they score for the player who begins."""

import collections
import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from selfplay.reports.balance.measures import Estimate, score


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """An opening.

    Attributes:
        actions: its moves.
        example: index of a match that began with exactly these moves.
        matches: how many began so, or with the mirror image of it.
        share: of all matches that are long enough, in [0, 1].
        first_score: score of the player who makes the first move.
    """

    actions: tuple[int, ...]
    example: int
    matches: int
    share: float
    first_score: Estimate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lines:
    """The openings of so many plies.

    Attributes:
        plies: of each opening.
        matches: how many are that long.
        different: number of different openings.
        effective: how many equally common openings would be as diverse: the exponential of the
            entropy, from 1 to `different`.
        most_played: the commonest, at most as many as were asked for.
    """

    plies: int
    matches: int
    different: int
    effective: float
    most_played: tuple[Line, ...]


def opening_lines(
    actions: Sequence[Sequence[int]],
    results: Sequence[float],
    *,
    plies: int,
    permutations: Sequence[Sequence[int]] = (),
    most: int = 8,
) -> Lines:
    """Returns the openings of some matches.

    Args:
        actions: the moves of each match, at least its first ones.
        results: of each match for the player who makes the first move, in [-1, 1].
        plies: how long openings are, at least 1; shorter matches are left out.
        permutations: of actions, by symmetries that leave the first position as it is: what they
            turn into each other is the same opening.
        most: how many to list.
    """
    groups: dict[tuple[int, ...], list[int]] = collections.defaultdict(list)
    for match, moves in enumerate(actions):
        if len(moves) >= plies:
            line = tuple(int(action) for action in moves[:plies])
            images = (tuple(one[action] for action in line) for one in permutations)
            groups[min((line, *images))].append(match)
    total = sum(map(len, groups.values()))
    ranked = sorted(groups.values(), key=lambda matches: (-len(matches), matches[0]))
    return Lines(
        plies=plies,
        matches=total,
        different=len(groups),
        effective=math.exp(
            -math.fsum(len(one) / total * math.log(len(one) / total) for one in ranked)
        )
        if total
        else 0.0,
        most_played=tuple(
            _line(matches, actions, results, plies, total) for matches in ranked[:most]
        ),
    )


def _line(
    matches: Sequence[int],
    actions: Sequence[Sequence[int]],
    results: Sequence[float],
    plies: int,
    total: int,
) -> Line:
    # Of mirror images the one that is played most often names the opening.
    images = collections.Counter(tuple(map(int, actions[match][:plies])) for match in matches)
    (named, _), *_ = images.most_common(1)
    example = next(match for match in matches if tuple(map(int, actions[match][:plies])) == named)
    distinct = len({tuple(map(int, actions[match])) for match in matches})
    return Line(
        actions=named,
        example=example,
        matches=len(matches),
        share=len(matches) / total,
        first_score=score(np.array([results[match] for match in matches], np.float32), distinct),
    )
