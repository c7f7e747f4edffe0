"""Openings: random, distinct, repeatable, saved and loaded."""

import json

import pytest

from selfplay.arena import Opening, OpeningSet, random_openings
from selfplay.errors import ConfigError
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.play import LiveMatch
from tests.arena.toys import Tally


@pytest.fixture(scope="module")
def game():
    return TicTacToe()


def moves(openings):
    return [opening.actions for opening in openings.openings]


def test_openings_are_distinct_positions(game):
    found = moves(random_openings(game, num_openings=60, plies=3, seed=0))
    positions = {(frozenset(actions[::2]), frozenset(actions[1::2])) for actions in found}
    assert len(found) == len(positions) == 60
    assert all(len(actions) == len(set(actions)) == 3 for actions in found)


def test_a_seed_gives_the_same_openings_and_a_longer_set_begins_with_the_shorter(game):
    short = random_openings(game, num_openings=10, plies=2, seed=7)
    long = random_openings(game, num_openings=30, plies=2, seed=7)
    assert short == random_openings(game, num_openings=10, plies=2, seed=7)
    assert long.openings[:10] == short.openings
    assert moves(short) != moves(random_openings(game, num_openings=10, plies=2, seed=8))


def test_a_game_with_too_few_repeats_all_it_has_in_turn(game):
    found = moves(random_openings(game, num_openings=20, plies=1, seed=0))
    assert sorted(found[:9]) == [(action,) for action in range(9)]
    assert found[9:18] == found[:9]


def test_no_opening_ends_the_match(game):
    for actions in moves(random_openings(game, num_openings=100, plies=6, seed=0)):
        match = LiveMatch(game)
        for action in actions:
            match.play(action)
        assert not match.over


def test_random_starts_differ_and_depend_on_the_seed():
    game = Tally(random_bonus=3)
    openings = random_openings(game, num_openings=2, plies=0, seed=0).openings
    assert openings[0].start_key != openings[1].start_key
    assert random_openings(game, num_openings=2, plies=0, seed=1).openings != openings


def test_saved_openings_come_back_with_their_id(game, tmp_path):
    openings = random_openings(game, num_openings=5, plies=2, seed=0)
    openings.save(tmp_path / "openings.json")
    loaded = OpeningSet.load(tmp_path / "openings.json", game)
    assert loaded == openings and loaded.id == openings.id
    assert json.loads((tmp_path / "openings.json").read_text())["id"] == openings.id


def test_the_id_depends_on_every_move():
    one, two = (
        OpeningSet(game="g", version=1, openings=(Opening(actions=(0, last)),)) for last in (1, 2)
    )
    assert one.id != two.id and len(one.id) == 12


def test_a_file_written_by_hand_needs_only_the_moves(game):
    text = '{"game": "tic_tac_toe", "version": 1, "openings": [{"actions": [4, 0]}]}'
    assert OpeningSet.from_json(text, game).openings == (Opening(actions=(4, 0)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "openings.json is not a list of openings"),
        ("[]", "openings.json is not a list of openings"),
        ('{"game": "tic_tac_toe", "version": 1, "openings": [{}]}', "not a list of openings"),
        ('{"game": "tic_tac_toe", "version": 1, "openings": []}', "holds no opening"),
        (
            '{"game": "hex", "version": 1, "openings": [{"actions": [0]}]}',
            r"was written for hex \(version 1\), but the game is tic_tac_toe \(version 1\)",
        ),
        (
            '{"game": "tic_tac_toe", "version": 1, "id": "0", "openings": [{"actions": [0]}]}',
            "names the id 0, but its openings have the id",
        ),
    ],
)
def test_damaged_files_are_refused(game, tmp_path, text, message):
    path = tmp_path / "openings.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        OpeningSet.load(path, game)


def test_a_missing_file_is_refused(game, tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        OpeningSet.load(tmp_path / "nothing.json", game)
