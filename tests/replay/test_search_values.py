"""The lambda-return of root values: by hand, at both ends, across random moves and double moves."""

import dataclasses

import numpy as np
import pytest

from selfplay.records import MatchRecord
from selfplay.replay.search_values import SHORT_TERM_LAMBDAS, lambda_returns, outcomes
from selfplay.settings.sections.learner import SHORT_TERM_HORIZONS
from tests.records.examples import make_record


def record(players: list[int], roots: list[float], *, exploratory: list[int]) -> MatchRecord:
    """Returns a match that player 0 won."""
    made = make_record(
        0,
        players=players,
        actions=[0] * len(players),
        policies=[(np.array([0]), np.array([1.0], np.float32))] * len(players),
        start_key=(0, 0),
        truncated=False,
        returns=(1.0, -1.0),
        exploratory=exploratory,
    )
    return dataclasses.replace(made, root_values=np.array(roots, np.float32))


def search_values(matches: list[MatchRecord], value_lambda: float) -> np.ndarray:
    return lambda_returns(matches, [value_lambda])[:, 0]


def short_term_values(matches: list[MatchRecord]) -> np.ndarray:
    return lambda_returns(matches, SHORT_TERM_LAMBDAS)


def test_by_hand_with_alternating_players() -> None:
    found = search_values([record([0, 1, 0], [0.2, -0.4, 0.6], exploratory=[])], 0.5)
    last = 0.5 * 0.6 + 0.5 * 1.0
    middle = 0.5 * -0.4 + 0.5 * -last
    first = 0.5 * 0.2 + 0.5 * -middle
    np.testing.assert_allclose(found, [first, middle, last], rtol=1e-6)


def test_a_player_who_moves_twice_keeps_the_sign() -> None:
    found = search_values([record([1, 1, 0], [0.0, 0.0, 0.0], exploratory=[])], 1.0)
    np.testing.assert_allclose(found, [-1.0, -1.0, 1.0])


def test_nothing_follows_from_a_random_move() -> None:
    found = search_values([record([0, 1, 0], [0.2, -0.4, 0.6], exploratory=[1])], 1.0)
    np.testing.assert_allclose(found, [0.4, -0.4, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("value_lambda", "wanted"), [(0.0, [0.2, -0.4, 0.6]), (1.0, [1.0, -1.0, 1.0])]
)
def test_the_ends_are_root_values_and_outcomes(value_lambda: float, wanted: list[float]) -> None:
    found = search_values([record([0, 1, 0], [0.2, -0.4, 0.6], exploratory=[])], value_lambda)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_short_term_values_are_averages_of_the_next_root_values() -> None:
    roots = [0.2, -0.4, 0.6, 0.1]
    found = short_term_values([record([0, 1, 1, 0], roots, exploratory=[])])
    for column, horizon in enumerate(SHORT_TERM_HORIZONS):
        near = 1 / horizon
        # For player 0, who moves first; the outcome holds what is left.
        weights = [near * (1 - near) ** ply for ply in range(4)]
        seen = [0.2, 0.4, -0.6, 0.1]
        wanted = np.dot(weights, seen) + (1 - near) ** 4
        np.testing.assert_allclose(found[0, column], wanted, rtol=1e-5)
    # The longer the horizon, the more the outcome counts.
    assert found[3, 0] < found[3, 1] < found[3, 2]


def test_a_proven_value_is_the_target() -> None:
    """What follows may be a mistake; the plies before it count on the proven value."""
    made = record([0, 1, 0], [0.2, 1.0, 0.6], exploratory=[])
    made = dataclasses.replace(made, proven=np.array([False, True, False]))
    np.testing.assert_allclose(search_values([made], 0.5), [0.5 * 0.2 - 0.5, 1.0, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(outcomes(made), [1.0, 1.0, 1.0])
    made = dataclasses.replace(made, proven=np.zeros(3, bool))
    np.testing.assert_array_equal(outcomes(made), [1.0, -1.0, 1.0])


def test_several_matches_at_once_give_what_each_gives_alone() -> None:
    rng = np.random.default_rng(0)
    matches = []
    for plies in (5, 1, 9, 2, 9):
        made = record(
            rng.integers(0, 2, plies).tolist(),
            rng.uniform(-1, 1, plies).tolist(),
            exploratory=np.flatnonzero(rng.random(plies) < 0.2).tolist(),
        )
        matches.append(dataclasses.replace(made, proven=rng.random(plies) < 0.2))
    together = search_values(matches, 0.7)
    np.testing.assert_array_equal(
        together, np.concatenate([search_values([match], 0.7) for match in matches])
    )
    short = short_term_values(matches)
    assert short.shape == (len(together), len(SHORT_TERM_HORIZONS))
    # By the definition, one ply after the other.
    wanted = []
    for match in matches:
        after = match.returns[match.players[-1]]
        values = []
        for ply in reversed(range(match.plies)):
            if match.exploratory[ply] or match.proven[ply]:
                after = match.root_values[ply]
            else:
                after = 0.3 * match.root_values[ply] + 0.7 * after
            values.append(after)
            if ply and match.players[ply - 1] != match.players[ply]:
                after = -after
        wanted += values[::-1]
    np.testing.assert_allclose(together, wanted, rtol=1e-5, atol=1e-6)
