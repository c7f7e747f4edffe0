"""Positions written as moves, and the documents that come back."""

import json

import numpy as np
import pytest

from selfplay.arena import RandomAgent, SearchAgent, SolverAgent, mcts_agent
from selfplay.errors import ConfigError, IllegalActionError
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.mcts import uniform_evaluator
from selfplay.play import analyze, play_text, read_positions
from selfplay.settings.sections import SearchConfig


@pytest.fixture(scope="module")
def game():
    return TicTacToe()


@pytest.fixture(scope="module")
def mcts(game):
    return mcts_agent(game, 64, batch_size=8)


def test_a_bare_integer_is_an_action_number_and_anything_else_a_move(game):
    match = play_text(game, " 4  a3\t8 ")
    assert match.actions == [4, 0, 8]
    assert match.player == 1 and match.legal == [1, 2, 3, 5, 6, 7]
    assert play_text(game, "").actions == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4 4", "action 4 is not legal at ply 1"),
        ("4 -1", "action -1 is not legal at ply 1"),
        ("4 9", "action 9 is not legal at ply 1"),
        ("4 b2", "move 'b2' at ply 1 is not legal"),
        ("x9", "move 'x9' at ply 0 is not legal"),
        ("0 3 1 4 2 5", "action 5 at ply 5 is not legal: the match is over"),
        ("0 3 1 4 2 c2", "move 'c2' at ply 5 is not legal: the match is over"),
    ],
)
def test_illegal_moves_name_their_ply(game, text, message):
    with pytest.raises(IllegalActionError, match=message) as caught:
        play_text(game, text)
    assert caught.value.hint


def test_the_hint_lists_what_is_legal(game):
    with pytest.raises(IllegalActionError) as caught:
        play_text(game, "0 1 2 2")
    assert caught.value.hint == "legal actions: 3 4 5 6 7 8"
    with pytest.raises(IllegalActionError) as caught:
        play_text(game, "0 1 2 4 3 5 a3")
    assert caught.value.hint == "legal moves: a1 b1 c1"


def test_a_game_that_reads_moves_carelessly_still_gives_a_clear_error():
    class Careless(TicTacToe):
        def string_to_action(self, state, text):
            return int(text, 16)

    with pytest.raises(IllegalActionError, match="move 'zz' at ply 0 is not legal"):
        play_text(Careless(), "zz")


def test_the_document_has_the_keys_that_scripts_read(game, mcts):
    match = play_text(game, "4 0")
    (document,) = analyze(mcts, [match])
    assert json.loads(json.dumps(document)) == document
    assert set(document) >= {
        "moves", "action", "action_name", "value", "policy", "visits", "legal",
    }  # fmt: skip
    assert document["moves"] == [4, 0] and document["player"] == 0
    assert document["legal"] == [1, 2, 3, 5, 6, 7, 8]
    assert document["action"] in document["legal"]
    assert document["action_name"] == match.name(document["action"])
    assert list(document["policy"]) == list(document["visits"]) == list("1235678")
    assert sum(document["policy"].values()) == pytest.approx(1)
    assert sum(document["visits"].values()) == 64
    assert -1 <= document["value"] <= 1


def test_the_winning_move_is_found_and_the_value_is_for_the_player_to_move(game, mcts):
    wins, loses = analyze(mcts, read_positions(game, ["0 3 1 4", "0 8 2 7"]))
    # x completes the top row; then o, to move, completes the bottom row or loses to b3.
    assert wins["action_name"] == "c3" and wins["value"] > 0.3
    assert loses["player"] == 0 and loses["action_name"] == "b3"


def test_many_positions_come_back_in_order(game, mcts):
    lines = ["4", "0 8", "", "b2 a3"] * 10
    documents = list(analyze(mcts, read_positions(game, lines)))
    assert [document["moves"] for document in documents] == [[4], [0, 8], [], [4, 0]] * 10


def test_nothing_compiles_for_another_number_of_positions(game, mcts, compilations):
    list(analyze(mcts, read_positions(game, ["", "4"])))
    with compilations() as compiled:
        documents = list(analyze(mcts, read_positions(game, ["", "4", "0 1", "2 5", "6"] * 3)))
    assert len(documents) == 15
    assert compiled == []


def test_a_bad_line_is_named(game, mcts):
    documents = analyze(mcts, read_positions(game, ["", "4 4"]))
    with pytest.raises(IllegalActionError, match="line 2: action 4 is not legal at ply 1"):
        list(documents)
    with pytest.raises(ConfigError, match="line 3: the match is over after these moves"):
        list(read_positions(game, ["", "0", "0 3 1 4 2"]))


def test_a_finished_match_has_nothing_to_analyse(game, mcts):
    with pytest.raises(ConfigError, match="the match is over after these moves"):
        list(analyze(mcts, [play_text(game, "0 3 1 4 2")]))


def test_zero_simulations_are_the_raw_network(game):
    agent = SearchAgent(
        "raw", game, uniform_evaluator(game), (), SearchConfig(num_simulations=0), batch_size=2
    )
    (document,) = analyze(agent, [play_text(game, "4")])
    assert (
        document["policy"]
        == document["raw_policy"]
        == {action: pytest.approx(1 / 8) for action in document["policy"]}
    )
    assert set(document["visits"].values()) == {0} and document["value"] == 0


def test_agents_without_visits_leave_them_out(game):
    (solved,) = analyze(SolverAgent(game), [play_text(game, "0 3 1 4")])
    assert (solved["action"], solved["value"], solved["visits"]) == (2, 1.0, {})
    (random,) = analyze(RandomAgent(game), [play_text(game, "0 3 1 4")])
    assert random["value"] is None and np.isclose(random["policy"]["2"], 0.2)
