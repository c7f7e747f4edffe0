"""Matches with dice: common dice for both seats, openings with outcomes, distinct matches."""

import pytest

from selfplay.arena import (
    MatchTable,
    Opening,
    OpeningSet,
    RandomAgent,
    play_matches,
    random_openings,
)
from selfplay.errors import ConfigError
from tests.dice import Storm

GAME = Storm(stones=12)


@pytest.fixture(scope="module")
def agents() -> tuple[RandomAgent, RandomAgent]:
    return RandomAgent(GAME, name="a"), RandomAgent(GAME, name="b")


@pytest.fixture(scope="module")
def table(agents: tuple[RandomAgent, RandomAgent]) -> MatchTable:
    return play_matches(GAME, *agents, num_matches=40, opening_plies=1, seed=3)


def test_two_matches_of_an_opening_have_common_dice(table: MatchTable) -> None:
    compared = 0
    for first, second in zip(table.matches[::2], table.matches[1::2], strict=True):
        assert first.start_key == second.start_key
        assert (first.actions[0], first.outcomes[0]) == (second.actions[0], second.outcomes[0])
        assert len(first.outcomes) == len(first.actions)
        # The die is the same at the same ply while there are many stones, if it is rolled in both.
        for one, other in list(zip(first.outcomes, second.outcomes, strict=False))[:4]:
            if one >= 0 and other >= 0:
                assert one == other
                compared += 1
    assert compared > 40
    rolls = {match.outcomes for match in table.matches[::2]}
    assert len(rolls) > 10


def test_the_same_seed_gives_the_same_dice(
    table: MatchTable, agents: tuple[RandomAgent, RandomAgent]
) -> None:
    again = play_matches(GAME, *agents, num_matches=40, opening_plies=1, seed=3)
    assert again == table
    other = play_matches(GAME, *agents, num_matches=40, opening_plies=1, seed=4)
    assert [m.outcomes for m in other.matches] != [m.outcomes for m in table.matches]


def test_matches_that_differ_in_dice_alone_are_distinct(
    agents: tuple[RandomAgent, RandomAgent],
) -> None:
    openings = OpeningSet(game=GAME.name, version=1, openings=(Opening(),))
    table = play_matches(GAME, *agents, num_matches=10, openings=openings, seed=0)
    # All begin alike; without the dice counting they might still differ, so look at what is left.
    shown = {(match.actions, match.outcomes) for match in table.matches}
    assert table.distinct_matches == len(shown) > 5


def test_openings_keep_their_outcomes(agents: tuple[RandomAgent, RandomAgent]) -> None:
    found = random_openings(GAME, num_openings=4, plies=3, seed=1)
    assert all(len(opening.outcomes) == 3 for opening in found.openings)
    again = OpeningSet.from_json(found.to_json(), GAME)
    assert again == found and again.id == found.id
    table = play_matches(GAME, *agents, openings=found, seed=9)
    for match in table.matches:
        opening = found.openings[match.opening]
        assert match.actions[:3] == opening.actions
        assert match.outcomes[:3] == opening.outcomes
    impossible = OpeningSet(
        game=GAME.name, version=1, openings=(Opening(actions=(0,), outcomes=(-1,)),)
    )
    with pytest.raises(ConfigError, match="has outcome -1 at ply 0, which cannot follow"):
        play_matches(GAME, *agents, openings=impossible)
