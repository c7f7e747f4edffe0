"""Matches are played until the test is decided, and no longer."""

import pytest

from selfplay.arena import Opening, OpeningSet
from selfplay.arena.sequential_match import play_until_decided
from selfplay.errors import ConfigError
from tests.arena.toys import Tally, always

GAME = Tally()


def test_it_ends_with_the_first_round_that_decides():
    told = []
    found = play_until_decided(
        GAME,
        always(1, GAME),
        always(0, GAME),
        elo0=0,
        elo1=300,
        progress=lambda test, finished: told.append((test.pairs, finished)),
    )
    assert found.test.verdict == "elo1" and not found.exhausted
    # Whoever chooses 1 wins both matches of a pair, but for what a random opening brings.
    assert found.table.score > 0.7
    assert 0 < found.test.pairs == found.table.distinct_pairs <= len(found.table.matches) // 2
    assert told[0] == (0, 0) and told[-1][1] == len(found.table.matches)
    assert [one for _, one in told] == sorted(one for _, one in told)


def test_repeated_pairs_count_for_nothing_and_openings_run_out():
    """Equal agents that never vary, and two openings that come to the same match."""
    openings = OpeningSet(
        game=GAME.name,
        version=GAME.version,
        openings=(Opening(actions=(1,)), Opening(actions=(1, 1)), Opening(actions=(0,))),
    )
    found = play_until_decided(
        GAME, always(1, GAME), always(1, GAME), elo0=0, elo1=5, openings=openings
    )
    assert found.exhausted and found.test.verdict == "open"
    assert len(found.table.matches) == 6 and found.table.distinct_matches == 2
    assert found.test.pairs == found.table.distinct_pairs == 2
    assert sorted({match.opening for match in found.table.matches}) == [0, 1, 2]


def test_openings_get_longer_where_they_run_out():
    found = play_until_decided(GAME, always(1, GAME), always(1, GAME), elo0=0, elo1=5)
    lengths = {len(match.actions) for match in found.table.matches}
    assert lengths == {6} and found.exhausted
    # 64 matches by the moves of six plies, each by both seats of two equal agents.
    assert found.test.pairs > 16


def test_it_ends_undecided_after_the_most_matches():
    found = play_until_decided(
        GAME, always(1, GAME), always(1, GAME), elo0=0, elo1=5, max_matches=6
    )
    assert len(found.table.matches) == 6
    assert found.test.verdict == "open" and not found.exhausted


def test_it_refuses_before_anything_is_played():
    agent = always(1, GAME)
    with pytest.raises(ConfigError, match="elo0 is 5"):
        play_until_decided(GAME, agent, agent, elo0=5, elo1=0)
    with pytest.raises(ConfigError, match="max_matches is 1"):
        play_until_decided(GAME, agent, agent, elo0=0, elo1=5, max_matches=1)
    assert agent.calls == 0
