"""Matches in the terminal, played from a text of typed lines."""

import io

import pytest

from selfplay.arena import RandomAgent, SolverAgent, mcts_agent
from selfplay.errors import ConfigError
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.play import parse_people, play_in_terminal
from selfplay.registry import make
from tests.arena.toys import Tally, always, first_legal


@pytest.fixture(scope="module")
def game():
    return TicTacToe()


def play(game, agent, people, *lines):
    """Returns the session and everything that was written."""
    output = io.StringIO()
    session = play_in_terminal(
        game,
        agent,
        people=parse_people(people),
        source=io.StringIO("".join(f"{line}\n" for line in lines)),
        output=output,
    )
    return session, output.getvalue()


def test_a_whole_match_as_the_first_player(game):
    session, text = play(game, first_legal(game), "0", "a1", "#7", "c1")
    assert (session.ending, session.actions) == ("finished", (6, 0, 7, 1, 8))
    assert session.returns == (1.0, -1.0)
    assert text == (
        "Tic-tac-toe: player 0 is you, player 1 is first legal\n"
        "type a move, or help; an estimate is an expected score, a draw counts half\n"
        "\n3 . . .\n2 . . .\n1 . . .\n  a b c\nx to move\n"
        "player 0, your move> "
        "\n3 . . .\n2 . . .\n1 x . .\n  a b c\no to move\n"
        "first legal plays a3 (#0)\n"
        "\n3 o . .\n2 . . .\n1 x . .\n  a b c\nx to move\n"
        "player 0, your move> "
        "\n3 o . .\n2 . . .\n1 x x .\n  a b c\no to move\n"
        "first legal plays b3 (#1)\n"
        "\n3 o o .\n2 . . .\n1 x x .\n  a b c\nx to move\n"
        "player 0, your move> "
        "\n3 o o .\n2 . . .\n1 x x x\n  a b c\nx wins\n"
        "player 0 wins after 5 plies\n"
    )


def test_the_second_player_waits_for_the_agent(game):
    session, text = play(game, first_legal(game), "1", "b2", "quit")
    assert session.actions == (0, 4, 1) and session.returns is None
    assert text.index("first legal plays a3") < text.index("player 1, your move>")


def test_two_people_need_no_agent(game):
    agent = first_legal(game)
    session, text = play(game, agent, "both", "a1", "a2", "b1", "b2", "c1")
    assert session.actions == (6, 3, 7, 4, 8) and agent.calls == 0
    assert "player 0 is a person, player 1 is a person" in text


def test_nobody_plays_a_demonstration(game):
    session, text = play(game, first_legal(game), "none")
    assert session.actions == (0, 1, 2, 3, 4, 5, 6) and session.ending == "finished"
    assert "your move" not in text


def test_illegal_input_is_explained_and_asked_again(game):
    session, text = play(game, first_legal(game), "both", "b2", "b2", "zz", "", "#4", "#99", "a1")
    assert session.actions == (4, 6) and session.ending == "left"
    assert "'b2' is not a legal move here; legal moves: a3 b3 c3 a2 c2 a1 b1 c1" in text
    assert "'zz' is not a legal move here" in text
    assert "action 4 is not legal at ply 1; legal actions: 0 1 2 3 5 6 7 8" in text
    assert "action 99 is not legal at ply 1" in text


def test_a_bare_integer_is_an_action_number(game):
    session, text = play(game, first_legal(game), "both", "4", "a1", "4", "99", "0", "quit")
    assert session.actions == (4, 6, 0)
    assert "action 4 is not legal at ply 2" in text
    assert "action 99 is not legal at ply 2" in text


def test_where_moves_are_written_as_numbers_a_number_is_such_a_move():
    """Column 1 is action 0; a number that is no column is not taken for an action."""
    game = make("connect_four")
    session, text = play(game, first_legal(game), "both", "1", "0", "7", "#6", "quit")
    assert session.actions == (0, 6, 6)
    assert "'0' is not a legal move here" in text
    # In a full column the number of another column must not be played.
    full = play(game, first_legal(game), "both", *"222222", "2", "quit")[0]
    assert full.actions == (1,) * 6


def test_a_game_that_reads_moves_carelessly_does_not_end_the_match():
    class Careless(TicTacToe):
        def string_to_action(self, state, text):
            return int(text)

    game = Careless()
    session, text = play(game, first_legal(game), "both", "zz", "4")
    assert session.actions == (4,)
    assert "'zz' is not a move; type moves to see them" in text


def test_undo_takes_back_the_reply_as_well(game):
    session, text = play(game, first_legal(game), "0", "undo", "b2", "undo", "c1", "quit")
    assert session.actions == (8, 0)
    assert text.count("there is no move of yours to take back") == 1


def test_undo_as_the_second_player_keeps_the_agents_opening(game):
    session, text = play(game, first_legal(game), "1", "undo", "b2", "undo", "c1", "quit")
    assert session.actions == (0, 8, 1)
    assert "there is no move of yours to take back" in text


def test_undo_between_two_people_takes_back_one_move(game):
    session, _ = play(game, first_legal(game), "both", "a1", "b1", "undo", "c1")
    assert session.actions == (6, 8)


def test_commands_help_and_moves(game):
    _, text = play(game, first_legal(game), "0", "HELP", "moves", "hint")
    assert "take back your last move" in text
    assert "a3 (#0) b3 (#1) c3 (#2)" in text
    assert "first legal gives no hints" in text


def test_resigning_loses(game):
    session, text = play(game, first_legal(game), "1", "resign")
    assert session.ending == "resigned" and session.returns == (1.0, -1.0)
    assert "player 1 resigns: player 0 wins" in text


def test_the_end_of_the_input_leaves_politely(game):
    session, text = play(game, first_legal(game), "0", "a1")
    assert (session.ending, session.returns) == ("left", None)
    assert text.endswith("left after 2 plies, no result\n")


def test_ctrl_c_leaves_politely(game):
    class Interrupted(io.StringIO):
        def readline(self, size=-1):
            raise KeyboardInterrupt

    session = play_in_terminal(
        game,
        first_legal(game),
        people=frozenset({0}),
        source=Interrupted(),
        output=io.StringIO(),
    )
    assert session.ending == "left"


def test_the_estimate_is_for_the_side_of_the_person(game):
    # o to move after x took two of the top row and o two of the middle row: o wins at once.
    lines = ("b3", "a2", "a3", "b2", "a1", "hint")
    _, text = play(game, SolverAgent(game), "both", *lines)
    assert "solver would play c2 (#5); estimate for player 0: 0 %" in text
    _, text = play(game, SolverAgent(game), "1", "hint", "quit")
    assert "estimate for player 1: 50 %" in text and "estimate for player 0" not in text


def test_a_search_shows_policy_visits_and_estimates(game):
    agent = mcts_agent(game, 64, batch_size=2)
    _, text = play(game, agent, "both", "a3", "a2", "b3", "b2", "hint")
    (row,) = [line.split() for line in text.splitlines() if line.startswith("  c3")]
    name, policy, percent, visits, estimate, percent_too = row
    assert (name, percent, percent_too) == ("c3", "%", "%")
    assert int(policy) > 30 and int(visits) > 20 and int(estimate) == 100


def test_random_play_has_a_policy_but_no_estimate(game):
    _, text = play(game, RandomAgent(game), "0", "hint")
    assert "random would play" in text and "11 %" in text and "estimate for" not in text


def test_a_match_cut_at_the_length_limit_says_so():
    game = Tally(max_plies=2)
    session, text = play(game, always(1, game), "none")
    assert session.returns == (1.0, -1.0)
    assert "player 0 wins after 2 plies (cut at 2 plies)" in text


def test_who_may_play():
    assert parse_people("both") == {0, 1} and parse_people("none") == frozenset()
    with pytest.raises(ConfigError, match="the side you play is '2', but must be one of: 0, 1"):
        parse_people("2")
