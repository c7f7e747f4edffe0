"""What is measured of matches whose measures are known."""

from collections.abc import Sequence

import numpy as np
import pytest

from selfplay.reports.balance.measures import (
    Plays,
    decided_after,
    lead_changes,
    measure,
    whole_win,
)


def plays(
    values: Sequence[Sequence[float]],
    results: Sequence[float],
    *,
    starters: Sequence[int] | None = None,
    truncated: Sequence[int] = (),
    distinct: int | None = None,
) -> Plays:
    """Returns matches by their values for player 0 at each ply."""
    count = len(results)
    cut = np.zeros(count, np.bool_)
    cut[list(truncated)] = True
    return Plays(
        lengths=np.array([len(one) for one in values], np.int32),
        values=np.concatenate([np.array(one, np.float32) for one in values]),
        results=np.array(results, np.float32),
        starters=np.array(starters or [0] * count, np.int8),
        truncated=cut,
        resigned=np.zeros(count, np.bool_),
        distinct=count if distinct is None else distinct,
    )


@pytest.mark.parametrize(
    ("values", "result", "after"),
    [
        ([0.1, 0.2, 0.6, 0.9], 1.0, 2),
        # It falls back once more.
        ([0.6, 0.7, 0.3, 0.9], 1.0, 3),
        ([-0.6, -0.7, -0.8, -0.9], -1.0, 0),
        # Wrong to the last: the last move decides.
        ([0.9, 0.9, 0.9, 0.9], -1.0, 4),
        ([0.1, 0.7, 0.2, 0.0], 0.0, 2),
        ([0.1, -0.4, 0.2, 0.0], 0.0, 0),
    ],
)
def test_a_match_is_decided_once_the_value_stays_with_the_result(
    values: list[float], result: float, after: int
) -> None:
    assert decided_after(plays([values], [result]), 1.0).tolist() == [after]
    # Seen from the other side it is decided as early.
    turned = plays([[-value for value in values]], [-result])
    assert decided_after(turned, 1.0).tolist() == [after]


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ([0.3, 0.4, 0.3], 0),
        ([0.3, -0.3, 0.3], 2),
        # An even position between two leads of one player is no change.
        ([0.3, 0.0, -0.1, 0.3], 0),
        ([0.3, 0.0, -0.3, 0.1], 1),
        ([0.1, -0.1, 0.1], 0),
    ],
)
def test_the_lead_changes_where_the_other_player_leads(values: list[float], changes: int) -> None:
    assert lead_changes(plays([values], [1.0]), 1.0).tolist() == [changes]


def test_matches_do_not_run_into_each_other() -> None:
    both = plays([[0.9, 0.9], [-0.9], [0.9, -0.9, 0.9]], [1.0, -1.0, 1.0])
    assert lead_changes(both, 1.0).tolist() == [0, 0, 2]
    assert decided_after(both, 1.0).tolist() == [0, 0, 2]


def test_scores_are_those_of_the_player_who_begins() -> None:
    # Player 0 wins all four matches, but begins in one of them alone.
    found = measure(plays([[0.5]] * 4, [1.0] * 4, starters=[0, 1, 1, 1]))
    assert found.first_score.mean == 0.25
    assert found.player_0_score.mean == 1.0
    assert found.player_0_score.high == 1.0
    assert found.result is None


def test_shares_lengths_and_comebacks() -> None:
    values = [[0.0] * 4, [-0.6, 0.2, 0.9], [0.1] * 7, [-0.9] * 2]
    found = measure(plays(values, [0.0, 1.0, 0.0, -1.0], truncated=[2]))
    assert found.draws.mean == 0.5
    assert found.cut.mean == 0.25
    assert found.length.mean == 4.0
    assert found.length_quantiles == (2, 2, 3, 7, 7)
    assert found.comebacks is not None
    assert found.comebacks.mean == 0.5
    assert sum(bar["matches"] for bar in found.lengths) == 4
    assert [bar["from"] for bar in found.lengths] == [2, 3, 4, 5, 6, 7]
    assert sum(found.decided_shares) == 4


def test_without_a_winner_there_is_no_comeback() -> None:
    assert measure(plays([[0.0]] * 3, [0.0] * 3)).comebacks is None


def test_values_are_weighed_by_what_a_win_is_worth() -> None:
    results = [0.2] * 10 + [-0.2] * 10
    assert whole_win(np.array(results, np.float32)) == pytest.approx(0.2)
    found = measure(plays([[0.15, 0.19]] * 10 + [[0.15, -0.19]] * 10, results))
    # 0.15 is near a whole win of 0.2, and a lead of the wrong player in the other ten.
    assert found.decided.mean == pytest.approx(0.25)
    assert found.lead_changes.mean == 0.5
    assert found.result is not None
    assert found.result.mean == pytest.approx(0.0)
    assert found.first_score.mean == 0.5


def test_a_repeated_match_is_no_new_evidence() -> None:
    values, results = [[0.5], [0.5]] * 50, [1.0, -1.0] * 50
    wide = measure(plays(values, results, distinct=2)).first_score
    narrow = measure(plays(values, results)).first_score
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < 0.15 < 0.4 < narrow.low
    # Of two different matches nothing is known of the spread of lengths.
    assert measure(plays(values, results, distinct=2)).length.low is None


def test_the_interval_of_the_score_holds_what_it_promises() -> None:
    random = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        results = random.choice([1.0, 0.0, -1.0], size=60, p=[0.5, 0.2, 0.3]).tolist()
        score = measure(plays([[0.0]] * 60, results)).first_score
        assert score.low is not None
        assert score.high is not None
        held += score.low <= 0.6 <= score.high
    assert 0.92 <= held / 400 <= 0.985
