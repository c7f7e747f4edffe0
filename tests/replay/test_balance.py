"""Balanced samples: by result, player and phase, alone and together, beside other weights."""

import numpy as np
import pytest

from selfplay.records import MatchRecord
from selfplay.registry import make
from selfplay.replay import ReplayWindow, Samples
from selfplay.replay.balance import balancing_weights, groups
from selfplay.settings.sections import ReplayConfig
from tests.records.examples import RandomMatches, make_record


def record(plies: int, result: float) -> MatchRecord:
    return make_record(
        0,
        players=[ply % 2 for ply in range(plies)],
        actions=[0] * plies,
        policies=[(np.array([0]), np.array([1.0], np.float32))] * plies,
        start_key=(0, 0),
        truncated=False,
        returns=(result, -result),
        exploratory=[],
    )


@pytest.mark.parametrize(
    ("balanced", "wanted"),
    [
        (("player",), [0, 1, 0, 1, 0, 1]),
        (("phase",), [0, 0, 1, 1, 2, 2]),
        (("result",), [2] * 6),
        (("result", "player"), [4, 5, 4, 5, 4, 5]),
        (("phase", "player", "result"), [12, 15, 13, 16, 14, 17]),
    ],
)
def test_the_group_of_each_ply(balanced: tuple[str, ...], wanted: list[int]) -> None:
    assert groups(record(6, 1.0), balanced).tolist() == wanted


def test_only_the_sign_of_a_result_counts() -> None:
    found = [groups(record(1, result), ("result",))[0] for result in (-1.0, -0.2, 0.0, 0.3, 1.0)]
    assert found == [0, 0, 1, 2, 2]


def test_groups_weigh_the_same_together() -> None:
    found = np.array([0] * 80 + [2] * 15 + [5] * 5, np.int8)
    weights = balancing_weights(found)
    assert weights.mean() == pytest.approx(1)
    for group in (0, 2, 5):
        assert weights[found == group].sum() == pytest.approx(100 / 3, rel=1e-5)


def test_other_weights_hold_within_a_group() -> None:
    found = np.array([0, 0, 1, 1, 1], np.int8)
    weights = balancing_weights(found, np.array([1, 3, 0, 1, 1], np.float32))
    np.testing.assert_allclose(weights, [0.625, 1.875, 0, 1.25, 1.25])
    # A group without weight gets none.
    np.testing.assert_allclose(
        balancing_weights(found, np.array([0, 0, 1, 1, 1], np.float32)), [0, 0, 5 / 3, 5 / 3, 5 / 3]
    )


def test_the_window_samples_results_players_and_phases_evenly() -> None:
    random_matches = RandomMatches(make("tic_tac_toe"))
    records = [random_matches.play(seed=seed).record for seed in range(60)]
    results = {result: [r for r in records if np.sign(r.returns[0]) == result] for result in (1, 0)}
    # Seven of eight matches are won by player 0, the others drawn.
    chosen = (7 * results[1])[: 7 * len(results[0])] + results[0]
    total = sum(one.plies for one in chosen)

    def draw(*balanced: str, evenly: bool = False) -> Samples:
        config = ReplayConfig(min_window=total, max_window=total, balanced=balanced)
        window = ReplayWindow(make("tic_tac_toe"), config)
        window.ingest(chosen)
        return window.sample(4000, seed=1, update=2, evenly=evenly)

    assert (draw("result").draws == 1).mean() == pytest.approx(0.5, abs=0.03)
    plain = (draw().draws == 1).mean()
    assert plain < 0.25
    assert (draw("result", evenly=True).draws == 1).mean() == pytest.approx(plain, abs=0.03)
    samples = draw("phase", "player")
    assert (samples.progress < 1 / 3).mean() == pytest.approx(1 / 3, abs=0.05)
    assert (np.asarray(samples.states.player) == 0).mean() == pytest.approx(0.5, abs=0.03)
