"""Tests of MyGame: `pip install pytest`, then `pytest`."""

from pathlib import Path

from selfplay import check_game, make, play_text

GAME = make(str(Path(__file__).with_name("my_game.py")))


def test_the_rules_keep_the_contract():
    """The same as `selfplay check my_game.py`: shows the moves that prove a mistake."""
    check_game(GAME)


def test_the_first_moves():
    # Moves as a person writes them, or action numbers; seed: of a random start.
    match = play_text(GAME, "", seed=0)
    assert match.player == 0 and not match.over
    match.play(match.legal[0])
    assert len(match.actions) == 1


def test_a_match_to_the_end():
    # Change it: write down a match that you know, and its result.
    match = play_text(GAME, "")
    while not match.over:
        match.play(match.legal[0])
    assert sum(match.returns) == 0
