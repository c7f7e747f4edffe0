"""A match on the host: moves, undo, results."""

import pytest

from selfplay.errors import IllegalActionError
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.play import LiveMatch, play_text
from selfplay.registry import make
from tests.arena.toys import Tally


def test_moves_can_be_taken_back():
    match = LiveMatch(TicTacToe())
    for action in (4, 0, 8):
        match.play(action)
    match.undo(2)
    assert match.actions == [4] and match.player == 1 and 0 in match.legal
    match.undo(5)
    assert match.actions == [] and match.player == 0 and len(match.legal) == 9


def test_a_refused_move_changes_nothing():
    match = LiveMatch(TicTacToe())
    match.play(4)
    with pytest.raises(IllegalActionError):
        match.play(4)
    assert match.actions == [4] and match.player == 1


def test_written_moves():
    game = make("connect_four")
    assert play_text(game, "3 #3 0").actions == [3, 3, 0]


def test_a_move_may_be_written():
    game = make("hex", size=5)
    match = play_text(game, "a1")
    match.play("b2")
    match.play("#7")
    assert [match.before(ply).name(match.actions[ply]) for ply in (0, 1)] == ["a1", "b2"]
    assert match.actions[2] == 7
    with pytest.raises(IllegalActionError, match="move 'z9' at ply 3 is not legal"):
        match.play("z9")
    with pytest.raises(IllegalActionError, match="move 'b2' at ply 3 is not legal"):
        match.play("b2")
    assert len(match.actions) == 3


def test_the_end_and_the_result():
    match = LiveMatch(TicTacToe())
    for action in (0, 3, 1, 4, 2):
        assert not match.over
        match.play(action)
    assert match.over and not match.truncated and match.legal == []
    assert match.returns == (1.0, -1.0)


def test_the_length_cap_and_repeat_movers():
    match = LiveMatch(Tally(max_plies=3))
    for action in (1, 0, 0):
        match.play(action)
    assert match.players() == [0, 0, 1, 1]
    assert match.over and match.truncated and match.returns == (1.0, -1.0)


def test_the_seed_chooses_a_random_start():
    game = Tally(random_bonus=5)
    bonuses = [int(LiveMatch(game, seed=seed).position.state.bonus) for seed in range(8)]
    assert bonuses == [int(LiveMatch(game, seed=seed).position.state.bonus) for seed in range(8)]
    assert set(bonuses) == {-5, 5}
