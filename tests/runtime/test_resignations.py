"""The threshold of resignation, and the rate of false ones, by hand."""

import dataclasses

import numpy as np
import pytest

from selfplay.records import MatchRecord
from selfplay.rollout import NEVER, may_resign
from selfplay.runtime.resignations import THRESHOLDS, Resignations, verdicts
from selfplay.settings.sections import RolloutConfig
from tests.records.examples import make_record

CONFIG = RolloutConfig(resign_share=0.5, max_false_resigns=0.05)


def match(values: list[float], returns: tuple[float, float], *, number: int = 0) -> MatchRecord:
    """Returns a match that is to be played out, with these values of players 0, 1, 0, 1, ..."""
    plies = len(values)
    made = make_record(
        number,
        players=[ply % 2 for ply in range(plies)],
        actions=[0] * plies,
        policies=[([0], [1.0])] * plies,
    )
    keys = np.random.default_rng(number).integers(0, 2**32, (100, 2), np.uint32)
    first, second = (int(one) for one in keys[~may_resign(keys, CONFIG.resign_share)][0])
    return dataclasses.replace(
        made,
        root_values=np.array(values, np.float32),
        returns=returns,
        start_key=(first, second),
    )


def at(threshold: float) -> int:
    """Returns the index of a threshold."""
    return int(np.abs(THRESHOLDS - threshold).argmin())


def test_what_a_threshold_would_have_done() -> None:
    # Player 1 loses; he is at -0.6, then at -0.9. Player 0 is at -0.7 in between.
    found = verdicts(match([0.5, -0.6, -0.7, -0.9, 0.9], (1.0, -1.0)))
    assert found[at(-0.95)] == 0  # nobody resigns
    assert found[at(-0.9)] == found[at(-0.8)] == 1  # the loser does
    assert found[at(-0.65)] == found[at(-0.7)] == 2  # player 0 does first, who wins
    assert found[at(-0.6)] == found[at(-0.5)] == 1  # player 1 does before
    # Who would have had a draw, did not lose; the last move is too late, a random one says nothing.
    assert verdicts(match([0.0, -0.9, 0.0], (0.0, 0.0)))[at(-0.9)] == 2
    assert not verdicts(match([0.0, -0.9], (1.0, -1.0))).any()
    random = match([0.0, -0.9, 0.0], (1.0, -1.0))
    random.exploratory[1] = True
    assert not verdicts(random).any()


def test_nobody_resigns_before_enough_was_seen() -> None:
    one = Resignations(CONFIG)
    assert (one.threshold, one.false_rate) == (NEVER, None)
    assert one.metrics() == {"resign_threshold": None, "false_resign_rate": None}
    right = [match([0.0, -0.8, 0.0], (1.0, -1.0), number=number) for number in range(19)]
    one.add(right[:18])
    assert one.threshold == NEVER
    one.add(right[18:])
    assert one.threshold == pytest.approx(-0.5)
    assert one.metrics() == {"resign_threshold": pytest.approx(-0.5), "false_resign_rate": 0.0}
    # Of the matches in which players may resign, nothing is learnt.
    keys = np.random.default_rng(0).integers(0, 2**32, (100, 2), np.uint32)
    free = keys[may_resign(keys, CONFIG.resign_share)][0]
    wrong = match([0.0, -0.6, 0.0], (-1.0, 1.0))
    one.add([dataclasses.replace(wrong, start_key=(int(free[0]), int(free[1])))] * 50)
    assert one.threshold == pytest.approx(-0.5)


def test_the_threshold_falls_below_where_too_many_are_false() -> None:
    one = Resignations(CONFIG)
    one.add([match([0.0, -0.8, 0.0], (1.0, -1.0), number=number) for number in range(90)])
    one.add([match([0.0, -0.6, 0.0], (-1.0, 1.0), number=number) for number in range(10)])
    # From -0.6 on 10 of 100 would be false, below only those at -0.8 resign.
    assert one.threshold == pytest.approx(-0.61)
    assert one.false_rate == 0.0
    loose = Resignations(dataclasses.replace(CONFIG, max_false_resigns=0.2))
    loose.restore(one.state())
    assert loose.threshold == pytest.approx(-0.5)
    assert loose.false_rate == pytest.approx(0.1)
    # Old matches are forgotten: the network has changed.
    one.add([match([0.0, -0.6, 0.0], (1.0, -1.0), number=number) for number in range(200)])
    assert one.threshold == pytest.approx(-0.5)


def test_the_false_rate_of_other_matches_stays_within_the_limit() -> None:
    """A position of value v is lost with probability (1 - v) / 2: the network is calibrated."""
    random = np.random.default_rng(0)

    def some(count: int, begin: int) -> list[MatchRecord]:
        made = []
        for number in range(begin, begin + count):
            value = -random.random()
            lost = random.random() < (1 - value) / 2
            returns = (1.0, -1.0) if lost else (-1.0, 1.0)
            made.append(match([0.0, value, 0.0], returns, number=number))
        return made

    one = Resignations(CONFIG)
    one.add(some(200, 0))
    assert one.threshold is not None and NEVER < one.threshold < -0.7
    later = np.stack([verdicts(each)[at(one.threshold)] for each in some(1000, 1000)])
    assert (later == 2).sum() / (later > 0).sum() < 0.08


def test_nobody_resigns_in_a_game_with_other_results() -> None:
    one = Resignations(CONFIG)
    one.add([match([0.0, -0.8, 0.0], (1.0, -1.0), number=number) for number in range(50)])
    one.add([match([0.0, -0.8, 0.0], (0.5, -0.5))])
    assert one.threshold == NEVER and one.false_rate is None


def test_switched_off_it_has_no_threshold() -> None:
    one = Resignations(RolloutConfig())
    one.add([match([0.0, -0.8, 0.0], (1.0, -1.0))] * 50)
    assert (one.threshold, one.false_rate, len(one.state())) == (None, None, 0)
