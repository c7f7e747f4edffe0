"""Matches between two agents until a sequential test of them is decided."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from selfplay.arena.agents import Agent
from selfplay.arena.openings import Opening, OpeningSet, default_opening_plies, random_openings
from selfplay.arena.paired_matches import Standing, play_matches
from selfplay.arena.rating.sequential import SequentialTest, sequential_test
from selfplay.arena.table import Match, MatchTable
from selfplay.configuration import check_range
from selfplay.errors import ConfigError
from selfplay.game import Game

ROUND_MATCHES = 64
"""Played at once; after each round the test is looked at."""
MOST_MATCHES = 10_000
"""A test ends undecided after so many, if nothing else is said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequentialMatch:
    """The matches of two agents, and what the test says of them.

    Attributes:
        table: all matches, seen by the first agent.
        test: its state at the end, by the pairs that differ in a move.
        openings: the openings of the table, in its order.
        exhausted: whether it ended because the agents have played all matches that they can.
    """

    table: MatchTable
    test: SequentialTest
    openings: OpeningSet
    exhausted: bool


def play_until_decided(
    game: Game[Any],
    agent_a: Agent,
    agent_b: Agent,
    *,
    elo0: float,
    elo1: float,
    alpha: float = 0.05,
    beta: float = 0.05,
    max_matches: int = MOST_MATCHES,
    seed: int = 0,
    opening_plies: int | None = None,
    openings: OpeningSet | None = None,
    progress: Callable[[SequentialTest, int], None] = lambda test, matches: None,
) -> SequentialMatch:
    """Plays pairs of matches until it is decided whether `agent_a` is `elo0` or `elo1` stronger.

    Every opening is played once, from both seats. Where random openings of the usual length run
    out, they get longer by a ply. A pair that repeats an earlier one counts for nothing.

    Args:
        game: the rules.
        agent_a: the agent whose score is counted.
        agent_b: the other one.
        elo0: as in `sequential_test`, and so are `elo1`, `alpha` and `beta`.
        elo1: see there.
        alpha: see there.
        beta: see there.
        max_matches: the test ends undecided after so many, at least 2.
        seed: of the openings and of the agents' random choices.
        opening_plies: length of the random openings, which then stays.
        openings: play these instead.
        progress: told before every ply of a round what the test says and how many matches of it
            are over; may raise to break off.

    Raises:
        ConfigError: the hypotheses contradict each other.
        IllegalActionError: an agent chose an action that the rules forbid.
    """
    check_range("max_matches", max_matches, low=2)
    bounds = {"elo0": elo0, "elo1": elo1, "alpha": alpha, "beta": beta}
    test = sequential_test([], **bounds)
    scores: list[float] = []
    played: dict[tuple[Any, ...], None] = {}
    tables: list[MatchTable] = []
    used: dict[Opening, int] = {}
    source = _openings(game, openings, opening_plies, count=max_matches // 2, seed=seed)
    exhausted = False
    for number in itertools.count():
        left = (max_matches - 2 * sum(len(table.pair_scores) for table in tables)) // 2
        begin = tuple(itertools.islice(source, min(left, ROUND_MATCHES // 2)))
        if not begin:
            exhausted = left > 0
            break
        finished = 2 * sum(len(table.pair_scores) for table in tables)
        table = play_matches(
            game,
            agent_a,
            agent_b,
            seed=seed + number,
            openings=OpeningSet(game=game.name, version=game.version, openings=begin),
            progress=functools.partial(_tell, progress, test, finished),
        )
        tables.append(_renumbered(table, begin, used))
        for score, pair in zip(table.pair_scores, _pairs(table), strict=True):
            if pair not in played:
                played[pair] = None
                scores.append(score)
        test = sequential_test(scores, **bounds)
        if test.verdict != "open":
            break
    all_used = OpeningSet(game=game.name, version=game.version, openings=tuple(used))
    return SequentialMatch(
        table=_joined(tables, all_used, seed=seed),
        test=test,
        openings=all_used,
        exhausted=exhausted,
    )


def _tell(
    progress: Callable[[SequentialTest, int], None],
    test: SequentialTest,
    before: int,
    standing: Standing,
) -> None:
    progress(test, before + standing.finished)


def _openings(
    game: Game[Any], openings: OpeningSet | None, plies: int | None, *, count: int, seed: int
) -> Iterator[Opening]:
    """Yields different openings, as many as there are."""
    if openings is not None:
        yield from dict.fromkeys(openings.openings)
        return
    lengths = [plies] if plies is not None else range(default_opening_plies(game), game.max_plies)
    for length in lengths:
        try:
            found = random_openings(game, num_openings=count, plies=length, seed=seed)
        except ConfigError:
            # Every random match is over by then.
            if length == lengths[0]:
                raise
            return
        yield from dict.fromkeys(found.openings)


def _renumbered(
    table: MatchTable, begin: tuple[Opening, ...], used: dict[Opening, int]
) -> MatchTable:
    """Returns the table with the openings numbered over all rounds; adds them to `used`."""
    numbers = [used.setdefault(opening, len(used)) for opening in begin]
    matches = (dataclasses.replace(one, opening=numbers[one.opening]) for one in table.matches)
    return dataclasses.replace(table, matches=tuple(matches))


def _pairs(table: MatchTable) -> list[tuple[Any, ...]]:
    """Returns what tells the pairs of a table from each other."""
    matches = [_played(match) for match in table.matches]
    return list(zip(matches[::2], matches[1::2], strict=True))


def _played(match: Match) -> tuple[Any, ...]:
    # Without the key of its start: an opening that is a ply longer may lead to the same match.
    return match.actions, match.outcomes


def _joined(tables: list[MatchTable], openings: OpeningSet, *, seed: int) -> MatchTable:
    """Returns the matches of all rounds as one table."""
    matches = tuple(match for table in tables for match in table.matches)
    return MatchTable(
        game=openings.game,
        agents=tables[0].agents,
        seed=seed,
        opening_set=openings.id,
        matches=matches,
        distinct_matches=len({_played(match) for match in matches}),
        distinct_pairs=len({pair for table in tables for pair in _pairs(table)}),
    )
