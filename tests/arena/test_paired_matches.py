"""Matches between two agents: seats, openings, results, duplicates, compilations."""

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.arena import (
    Opening,
    OpeningSet,
    RandomAgent,
    SolverAgent,
    mcts_agent,
    play_matches,
)
from selfplay.cli.playing.arena import _facts
from selfplay.errors import ConfigError, GameContractError, IllegalActionError
from selfplay.games.tic_tac_toe import TicTacToe
from tests.arena.toys import ScriptedAgent, Tally, always, first_legal


@pytest.fixture(scope="module")
def tic_tac_toe():
    return TicTacToe()


@pytest.fixture(scope="module")
def tally():
    return Tally()


def one_opening(game, *actions, start_key=(0, 0)):
    return OpeningSet(
        game=game.name,
        version=game.version,
        openings=(Opening(actions=actions, start_key=start_key),),
    )


def test_an_agent_is_asked_only_for_its_own_seat(tally):
    one, zero = always(1, tally), always(0, tally)
    table = play_matches(tally, one, zero, openings=one_opening(tally))
    # Player 0 moves at plies 0, 1, 4 and player 1 at 2, 3, 5; each agent sits on both sides.
    assert one.players == [0, 0, 1, 1, 0, 1]
    assert sorted(zero.players) == [0, 0, 0, 1, 1, 1]
    assert [match.actions for match in table.matches] == [(1, 1, 0, 0, 1, 0), (0, 0, 1, 1, 0, 1)]
    assert [match.seat for match in table.matches] == [0, 1]
    assert (table.wins, table.draws, table.losses) == (2, 0, 0)
    assert (table.seat_score(0), table.seat_score(1)) == (1.0, 1.0)


def test_all_matches_are_asked_at_once(tally):
    one, zero = always(1, tally), always(0, tally)
    play_matches(tally, one, zero, num_matches=20, opening_plies=1)
    assert one.calls <= 6 and len(one.players) > 40


def test_a_draw_counts_one_half(tally):
    table = play_matches(tally, always(1, tally), always(1, tally), openings=one_opening(tally))
    assert (table.wins, table.draws, table.losses, table.score) == (0, 2, 0, 0.5)
    assert [match.result for match in table.matches] == [0.0, 0.0]


def test_a_match_cut_at_max_plies_is_scored_and_marked():
    game = Tally(max_plies=2)
    table = play_matches(game, always(1, game), always(0, game), openings=one_opening(game))
    assert (table.truncated, table.mean_plies) == (2, 2)
    # Only player 0 has moved by then, so whoever that is cannot lose.
    assert [match.score for match in table.matches] == [1.0, 0.5]


def test_repeated_matches_of_deterministic_agents_are_counted(tic_tac_toe):
    agent, other = first_legal(tic_tac_toe), first_legal(tic_tac_toe)
    table = play_matches(tic_tac_toe, agent, other, num_matches=40, opening_plies=0)
    assert table.distinct_matches == 1 and table.distinct_pairs == 1
    assert table.score == 0.5
    low, high = table.interval
    assert high - low > 0.2


def test_random_openings_make_them_differ(tic_tac_toe):
    agent, other = first_legal(tic_tac_toe), first_legal(tic_tac_toe)
    table = play_matches(tic_tac_toe, agent, other, num_matches=40, opening_plies=2)
    # The same agent on both sides: both matches of a pair are the same moves.
    assert table.distinct_matches == 20 and table.score == 0.5


def test_random_against_random_is_even(tic_tac_toe):
    agent = RandomAgent(tic_tac_toe)
    table = play_matches(tic_tac_toe, agent, RandomAgent(tic_tac_toe), num_matches=300, seed=1)
    assert table.interval.low < 0.5 < table.interval.high
    assert 0.4 < table.score < 0.6
    # x begins and wins more often; that both agents sit there equally often makes it even.
    assert table.seat_score(0) > table.seat_score(1) + 0.1
    assert table.distinct_matches > 250


def test_the_same_seed_plays_the_same_matches(tic_tac_toe):
    agent = RandomAgent(tic_tac_toe)
    first, again, other = (
        play_matches(tic_tac_toe, agent, agent, num_matches=20, seed=seed) for seed in (3, 3, 4)
    )
    assert first == again
    assert first.matches != other.matches and first.opening_set != other.opening_set


def test_the_solver_never_loses(tic_tac_toe):
    solver, random = SolverAgent(tic_tac_toe), RandomAgent(tic_tac_toe)
    table = play_matches(tic_tac_toe, solver, random, num_matches=60, opening_plies=0)
    assert table.losses == 0 and table.score > 0.8


def test_plain_mcts_beats_random(tic_tac_toe):
    agent = mcts_agent(tic_tac_toe, 200, batch_size=16)
    table = play_matches(
        tic_tac_toe, agent, RandomAgent(tic_tac_toe), num_matches=32, opening_plies=1
    )
    assert table.score > 0.85 and table.interval.low > 0.7


def test_nothing_compiles_after_the_first_table(tic_tac_toe, compilations):
    agents = mcts_agent(tic_tac_toe, 4, batch_size=4), RandomAgent(tic_tac_toe, batch_size=4)
    play_matches(tic_tac_toe, *agents, num_matches=12, opening_plies=1, seed=0)
    with compilations() as compiled:
        # Other matches end at other times, so other numbers of them wait for each agent.
        table = play_matches(tic_tac_toe, *agents, num_matches=12, opening_plies=1, seed=5)
    assert len({len(match.actions) for match in table.matches}) > 1
    assert compiled == []
    with compilations() as compiled:
        play_matches(tic_tac_toe, *agents, num_matches=14, opening_plies=1)
    # The number of matches is a shape: this shows that compilations are seen.
    assert compiled != []


def test_random_starts_are_shared_by_both_seats_and_can_be_replayed():
    game = Tally(random_bonus=9)
    agents = always(0, game), always(1, game)
    table = play_matches(game, *agents, num_matches=40, opening_plies=0)
    # The lead decides every match: each pair begins with the same one, so it is 1-1.
    assert [match.score for match in table.matches[::2]] != [1.0] * 20
    assert all(
        one.start_key == two.start_key and {one.score, two.score} == {0.0, 1.0}
        for one, two in zip(table.matches[::2], table.matches[1::2], strict=True)
    )
    starts = {match.score: match.start_key for match in table.matches[::2]}
    assert set(starts) == {0.0, 1.0}
    for score, start_key in starts.items():
        again = play_matches(game, *agents, openings=one_opening(game, start_key=start_key))
        assert again.matches[0].score == score


def test_given_openings_are_played_in_turn_and_named(tic_tac_toe):
    openings = OpeningSet(
        game="tic_tac_toe",
        version=1,
        openings=(Opening(actions=(4,)), Opening(actions=(0, 8))),
    )
    agent = RandomAgent(tic_tac_toe)
    table = play_matches(tic_tac_toe, agent, agent, num_matches=8, openings=openings)
    assert table.opening_set == openings.id
    assert [match.opening for match in table.matches] == [0, 0, 1, 1, 0, 0, 1, 1]
    assert all(
        match.actions[: len(opening.actions)] == opening.actions
        for match in table.matches
        for opening in [openings.openings[match.opening]]
    )


def test_the_document_has_the_keys_that_scripts_read(tic_tac_toe):
    agent = RandomAgent(tic_tac_toe)
    table = play_matches(tic_tac_toe, agent, SolverAgent(tic_tac_toe), num_matches=4)
    document = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert set(document) >= {
        "agents", "matches", "distinct_matches", "wins", "draws", "losses", "score", "interval",
        "opening_set",
    }  # fmt: skip
    assert document["agents"] == ["random", "solver"]
    assert document["wins"] + document["draws"] + document["losses"] == document["matches"] == 4
    low, high = document["interval"]
    assert 0 <= low <= document["score"] <= high <= 1


def test_a_result_that_is_a_score_is_averaged(tally, tic_tac_toe):
    class Margin(Tally):
        """The lead counts, in sixths."""

        def returns(self, state):
            return jnp.array([1.0, -1.0]) * (state.ones[0] - state.ones[1]) / 6

    game = Margin()
    table = play_matches(game, RandomAgent(game), always(0, game), num_matches=40, seed=3)
    results = [match.result for match in table.matches]
    assert table.is_scored and 0 < table.mean_result == pytest.approx(np.mean(results))
    document = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    low, high = document["result_interval"]
    assert -1 <= low < document["mean_result"] < high <= 1 and high - low < 0.3
    assert document["scored"] is True
    (shown,) = [text for name, text in _facts(document) if name == "result"]
    assert shown == (
        f"{table.mean_result:+.3f} on average (95 % interval {low:+.3f} to {high:+.3f}), in [-1, 1]"
    )
    # Wins and losses alone say no more than the score does.
    agent = RandomAgent(tic_tac_toe)
    plain = play_matches(tic_tac_toe, agent, agent, num_matches=8)
    assert not plain.is_scored
    assert "result" not in dict(_facts(plain.to_dict()))
    assert plain.to_dict()["mean_result"] == pytest.approx(2 * plain.score - 1)


def test_progress_is_told(tic_tac_toe):
    seen: list[Any] = []
    agent = RandomAgent(tic_tac_toe)
    table = play_matches(tic_tac_toe, agent, agent, num_matches=6, progress=seen.append)
    finished = [standing.finished for standing in seen]
    assert finished[0] == 0 and finished[-1] == 6 and finished == sorted(finished)
    plies = [standing.plies for standing in seen]
    assert plies[:3] == [0, 6, 12] and plies == sorted(plies)
    assert plies[-1] == sum(len(match.actions) for match in table.matches)
    assert str(seen[1]) == "0 of 6 matches finished, 6 plies played"


def test_an_illegal_action_of_an_agent_is_an_error(tally):
    with pytest.raises(IllegalActionError, match="agent always 2 chose action 2 at ply 1 of tally"):
        play_matches(tally, always(2, tally), always(0, tally), openings=one_opening(tally, 0))


def test_an_agent_that_answers_with_something_else_is_an_error(tally):
    class Odd(ScriptedAgent):
        def select(self, positions, *, key):
            return np.zeros(1, np.float32)

    odd = Odd("odd", lambda state: 0, tally)
    with pytest.raises(GameContractError, match="agent odd answered 1 positions with float32"):
        play_matches(tally, odd, odd, openings=one_opening(tally))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_matches": 3}, "num_matches is 3, but must be even"),
        ({"num_matches": 0}, "num_matches is 0, but must be at least 2"),
        ({"num_matches": 2, "opening_plies": 9}, "opening_plies is 9, but must be lower"),
        ({"num_matches": 2, "opening_plies": -1}, "opening_plies is -1, but must be at least 0"),
    ],
)
def test_settings_out_of_range(tic_tac_toe, settings, message):
    agent = RandomAgent(tic_tac_toe)
    with pytest.raises(ConfigError, match=message):
        play_matches(tic_tac_toe, agent, agent, **settings)


def test_an_opening_that_breaks_the_rules_or_ends_the_match_is_refused(tally):
    agent = always(0, tally)
    with pytest.raises(IllegalActionError, match="the opening chose action 2 at ply 1 of tally"):
        play_matches(tally, agent, agent, openings=one_opening(tally, 0, 2))
    with pytest.raises(ConfigError, match="ends the match"):
        play_matches(tally, agent, agent, openings=one_opening(tally, 0, 0, 0, 0, 0, 0))
