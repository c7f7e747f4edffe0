"""Positions as documents for pages."""

import json
import random

import pytest

from selfplay import registry
from selfplay.game import board_faults
from selfplay.play import LiveMatch, describe_position, play_text

KEYS = {
    "game", "start", "moves", "outcomes", "ply", "player", "over", "truncated", "returns", "legal",
    "forced", "again", "last", "view", "text",
}  # fmt: skip


def test_a_position_is_told_in_full() -> None:
    game = registry.make("tic_tac_toe")
    document = describe_position(play_text(game, "b2 a3"), game="g", start={"seed": 7})
    assert set(document) == KEYS and json.loads(json.dumps(document)) == document
    assert (document["game"], document["start"], document["ply"]) == ("g", {"seed": 7}, 2)
    assert (document["player"], document["over"], document["returns"]) == (0, False, None)
    assert document["legal"][0] == {"action": 1, "name": "b3", "clicks": [[1]]}
    assert document["last"] == {
        "action": 0, "name": "a3", "player": 1, "cells": [0], "outcome": None, "outcome_name": None
    }  # fmt: skip
    assert document["view"]["cells"][:5] == ["o", "", "", "", "x"]
    over = describe_position(play_text(game, "4 0 1 2 7"))
    assert over["over"] and over["player"] is None and over["returns"] == [1.0, -1.0]
    assert over["legal"] == [] and over["view"]["highlights"] == [1, 4, 7]


def test_a_move_of_many_clicks_shows_where_it_changed_the_board() -> None:
    game = registry.make("connect_four")
    assert describe_position(play_text(game, "3 3"))["last"]["cells"] == [4 * 7 + 3]


def test_passes_and_repeated_turns_are_told() -> None:
    kalah = describe_position(play_text(registry.make("kalah"), "c"))
    assert kalah["again"] and kalah["player"] == 0
    game = registry.make("othello", size=4)
    match = LiveMatch(game)
    rng = random.Random(0)
    for _ in range(40):
        while not match.over:
            match.play(rng.choice(match.legal))
            document = describe_position(match)
            if document["forced"] and document["legal"][0]["name"] == "pass":
                assert document["legal"][0]["clicks"] == []
                return
        match.undo(100)
    raise AssertionError("no match had a pass")


def test_dice_are_told_with_the_move_before_them() -> None:
    match = LiveMatch(registry.make("einstein_wuerfelt_nicht"), seed=1)
    match.play(match.legal[0], outcome=4)
    document = describe_position(match)
    assert document["last"]["outcome"] == 4 and document["last"]["outcome_name"] == "5"
    assert document["outcomes"] == [4] and document["view"]["dice"] == [5]


def test_the_note_names_the_players_as_the_page_does() -> None:
    match = LiveMatch(registry.make("nine_mens_morris"))
    view = match.game.board(match.position.state)
    assert view is not None and view.note == "White to place stone 1 of 9"
    assert match.game.render(match.position.state).splitlines()[-1] == "x to place stone 1 of 9"


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.game_names())
def test_clicks_are_the_legal_actions_all_along(name: str) -> None:
    rng = random.Random(0)
    match = LiveMatch(registry.make(name), seed=2)
    while not match.over and len(match.actions) < 120:
        view = match.game.board(match.position.state)
        assert view is not None
        assert list(board_faults(view, match.legal)) == []
        if list(view.players) != ["x", "o"]:
            assert not {"x", "o"} & set(view.note.split()), "the page has other names for players"
        match.play(rng.choice(match.legal))
    json.dumps(describe_position(match))
