"""Which openings are played how often."""

import pytest

from selfplay.reports.balance.opening_lines import opening_lines

MIRROR = (2, 1, 0)


def test_openings_are_counted_and_scored() -> None:
    actions = [[0, 1, 2], [0, 1, 0], [1, 1, 1], [0]]
    lines = opening_lines(actions, [1, -1, 1, 1], plies=2)
    assert (lines.matches, lines.different) == (3, 2)
    first, second = lines.most_played
    assert (first.actions, first.matches) == ((0, 1), 2)
    assert first.share == pytest.approx(2 / 3)
    assert first.first_score.mean == 0.5
    assert second.first_score.mean == 1.0
    assert second.example == 2


def test_mirror_images_are_one_opening_named_by_the_commoner_one() -> None:
    actions = [[0, 1], [2, 1], [2, 1], [1, 1]]
    assert opening_lines(actions, [1, 1, -1, 0], plies=2).different == 3
    lines = opening_lines(actions, [1, 1, -1, 0], plies=2, permutations=[MIRROR])
    assert lines.different == 2
    most = lines.most_played[0]
    assert (most.actions, most.matches, most.example) == ((2, 1), 3, 1)


def test_diversity_counts_equally_common_openings() -> None:
    even = opening_lines([[0], [1], [2], [0], [1], [2]], [0] * 6, plies=1)
    assert even.effective == pytest.approx(3)
    one = opening_lines([[0]] * 6, [0] * 6, plies=1)
    assert one.effective == pytest.approx(1)
    uneven = opening_lines([[0]] * 5 + [[1]], [0] * 6, plies=1)
    assert 1 < uneven.effective < 2


def test_matches_that_are_too_short_have_no_opening() -> None:
    lines = opening_lines([[0], [1]], [1, 1], plies=3)
    assert (lines.matches, lines.different, lines.most_played) == (0, 0, ())
