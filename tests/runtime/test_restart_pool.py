"""From where matches are played again, worked out by hand."""

import dataclasses
from typing import Any

import numpy as np

from selfplay.records import MatchRecord
from selfplay.registry import make
from selfplay.runtime.restart_pool import RestartPool, turning_point
from selfplay.settings.sections import RolloutConfig
from tests.records.examples import make_record

GAME = make("tic_tac_toe")
ON = RolloutConfig(restart_share=0.5)


def match(
    values: list[float], winner: int = 0, *, number: int = 0, players: Any = None, **changed: Any
) -> MatchRecord:
    """Returns a match with these values for the player to move, by default 0, 1, 0, 1, ..."""
    plies = len(values)
    made = make_record(
        number,
        players=players or [ply % 2 for ply in range(plies)],
        actions=list(range(plies)),
        policies=[([0], [1.0])] * plies,
        start_key=(number, 7),
        returns=(1.0, -1.0) if winner == 0 else (-1.0, 1.0),
    )
    return dataclasses.replace(made, root_values=np.array(values, np.float32), **changed)


def test_it_is_where_the_value_jumped() -> None:
    # Player 1 thinks he stands at 0.3 at ply 3; one ply later player 0 is at 0.6: a jump of 0.9.
    assert turning_point(match([0.1, 0.0, 0.1, 0.3, 0.6, -0.8, 1.0]), 64) == 3
    # A player who moves twice keeps his value. Here nothing jumps but the result, by 1.2.
    assert turning_point(match([0.0, 0.1, 0.1, 0.2, -0.2], players=[0, 0, 0, 0, 0]), 64) == 4
    calm = [0.1, -0.2, 0.3, -0.5, 0.7, -0.9, 1.0]
    assert turning_point(match(calm), 64) == 0
    # At the first position matches begin anyway, and further on there is no room.
    assert turning_point(match([-0.9, -0.2, 0.3, -0.5, 0.7, -0.9, 1.0]), 64) == 0
    assert turning_point(match([0.1, 0.0, 0.1, 0.3, 0.6, -0.8, 1.0]), 2) == 0


def test_it_is_where_the_search_was_surprised() -> None:
    calm = [0.1, -0.2, 0.3, -0.5, 0.7, -0.9, 1.0]
    surprises = np.array([3.0, -1.0, 0.6, 0.9, 0.0, np.nan, 0.0], np.float32)
    assert turning_point(match(calm, surprises=surprises), 64) == 3
    exploratory, fast = np.zeros(7, np.bool_), np.zeros(7, np.bool_)
    exploratory[3] = True
    assert turning_point(match(calm, surprises=surprises, exploratory=exploratory), 64) == 2
    fast[2] = True
    both: Any = {"exploratory": exploratory, "fast": fast}
    assert turning_point(match(calm, surprises=surprises, **both), 64) == 0


def test_dice_make_values_jump_though_nobody_was_wrong() -> None:
    outcomes = np.array([-1, -1, -1, 5, -1, -1, -1], np.int32)
    lucky = match([0.1, 0.0, 0.1, 0.3, 0.6, -0.8, 1.0], outcomes=outcomes)
    assert turning_point(lucky, 64) == 0


def test_the_newest_positions_of_each_player_are_kept() -> None:
    pool = RestartPool(GAME, ON)
    assert pool.restarts is not None and pool.restarts.counts.tolist() == [0, 0]
    by_one = [match([0.1, 0.0, 0.1, 0.3, 0.6, -0.8, 1.0], number=n) for n in range(130)]
    by_zero = [match([0.1, 0.0, 0.8, 0.3, -0.2, 0.3, -1.0], 1, number=n) for n in range(1000, 1003)]
    pool.add([*by_one, *by_zero])
    found = pool.restarts
    assert found is not None and found.counts.tolist() == [3, 128]
    assert set(found.start_keys[1, :, 0].tolist()) == set(range(2, 130))
    assert found.lengths[1].tolist() == [3] * 128 and found.lengths[0, :3].tolist() == [2] * 3
    assert found.actions[1, 0, :3].tolist() == [0, 1, 2]
    assert found.start_keys[0, :3].tolist() == [[1000, 7], [1001, 7], [1002, 7]]
    again = RestartPool(GAME, ON)
    again.restore(pool.state())
    for one in (pool, again):
        one.add([match([0.1, 0.0, 0.1, 0.3, 0.6, -0.8, 1.0], number=999)])
    for name, leaf in pool.state().items():
        np.testing.assert_array_equal(leaf, again.state()[name])


def test_switched_off_it_keeps_nothing() -> None:
    pool = RestartPool(GAME, RolloutConfig())
    pool.add([match([0.1, 0.0, 0.1, 0.3, 0.6, -0.8, 1.0])])
    assert (pool.restarts, pool.state()) == (None, {})
