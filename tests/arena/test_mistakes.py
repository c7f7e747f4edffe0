"""Mistakes against perfect play: agents whose mistakes are known, and where they are counted."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.adapters import host
from selfplay.arena import (
    MistakeTable,
    RandomAgent,
    SearchAgent,
    SolvedPositions,
    SolverAgent,
    has_solver,
    measure_mistakes,
    solve_positions,
)
from selfplay.arena.batches import take
from selfplay.arena.openings import fingerprint_row
from selfplay.check.solved.brute_force import BruteForce
from selfplay.errors import ConfigError, GameContractError, IllegalActionError
from selfplay.game import ChanceGame, Game, Position, Solution, advance, start
from selfplay.games.tic_tac_toe import TicTacToe, TicTacToeState
from selfplay.mcts import Evaluation
from selfplay.registry import make
from selfplay.settings.sections import SearchConfig
from tests.adapters.python_storm import Heap, PythonStorm, expected
from tests.arena.toys import ScriptedAgent
from tests.dice import Expectimax, Storm

GAME = TicTacToe()


class SolvedStorm(Storm):
    """The game of chance with its exact solution."""

    def __init__(self, stones: int) -> None:
        super().__init__(stones)
        self.expectimax = Expectimax(self)

    def solve(self, state: Any) -> Solution:
        values = self.expectimax.action_values(Position(state=state, ply=jax.numpy.int32(0)))
        best = max(values.values())
        return Solution(value=best, actions=[a for a, v in values.items() if v > best - 1e-6])


class SolvedPythonStorm(PythonStorm):
    """The same in plain Python; it starts with any roll."""

    def initial_state(self, rng: random.Random) -> Heap:
        return self.stones, rng.choice((1, 2, 3)), 0, 1

    def solve(self, state: Heap) -> Solution:
        values = expected(self, state)
        best = max(values.values())
        return Solution(value=best, actions=[a for a, v in values.items() if v > best - 1e-6])


class Odd(TicTacToe):
    """Has a solver that answers as it is told to: compiled but once."""

    answer: Callable[[TicTacToeState], Solution | None]

    def solve(self, state: TicTacToeState) -> Solution | None:
        return self.answer(state)

    def taught(self, answer: Callable[[TicTacToeState], Solution | None]) -> "Odd":
        self.answer = answer
        return self


ODD = Odd()


@pytest.fixture(scope="module")
def solved() -> SolvedPositions:
    return solve_positions(GAME, num_positions=120)


def rows(solved: SolvedPositions) -> list[Position[Any]]:
    """Returns the positions one by one."""
    return [
        jax.tree.map(lambda leaf, row=row: leaf[row], solved.positions)
        for row in range(len(solved.openings))
    ]


def errs(game: Game[Any], when: Callable[[Position[Any]], bool]) -> ScriptedAgent:
    """Returns an agent that plays a worst move where told to, else a best one."""

    class Erring(ScriptedAgent):
        def select(self, positions: Position[Any], *, key: Any) -> np.ndarray:
            chosen = []
            for row in range(len(positions.ply)):
                position = jax.device_put(take(positions, np.array([row])))
                position = jax.tree.map(lambda leaf: leaf[0], position)
                solution = game.solve(position.state)
                assert solution is not None
                legal = np.flatnonzero(game.legal_action_mask(position.state)).tolist()
                worse = [action for action in legal if action not in solution.actions]
                chosen.append((worse or legal)[0] if when(position) else solution.actions[0])
            return np.array(chosen, np.int32)

    return Erring("erring", lambda state: 0, game)


def test_positions_are_different_spread_over_the_plies_and_reached_by_their_moves(
    solved: SolvedPositions,
) -> None:
    plies = [len(opening.actions) for opening in solved.openings]
    assert plies == sorted(plies) == solved.positions.ply.tolist()
    assert len(plies) == 120
    counts = np.bincount(plies, minlength=9)
    # The board has one first position and nine second ones; from there on as many as asked for.
    assert counts[:2].tolist() == [1, 9]
    assert counts[2:].min() == 15 and counts[2:].max() <= 16
    states = {fingerprint_row(solved.positions.state, row) for row in range(120)}
    assert len(states) == 120
    step = jax.jit(lambda position, action: advance(GAME, position, action))
    every = slice(None, None, 7)
    some = zip(solved.openings[every], rows(solved)[every], solved.legal[every], strict=True)
    for opening, position, legal in some:
        there = start(GAME, jax.random.wrap_key_data(jnp.array(opening.start_key, jnp.uint32)))
        for action in opening.actions:
            transition = step(there, jax.numpy.int32(action))
            assert not transition.over
            there = transition.position
        jax.tree.map(np.testing.assert_array_equal, there, position)
        np.testing.assert_array_equal(GAME.legal_action_mask(there.state), legal)


def test_the_same_seed_gives_the_same_positions(solved: SolvedPositions) -> None:
    again = solve_positions(GAME, num_positions=120)
    other = solve_positions(GAME, num_positions=120, seed=1)
    assert again.position_set == solved.position_set != other.position_set
    jax.tree.map(np.testing.assert_array_equal, again.positions, solved.positions)


def test_a_perfect_agent_makes_no_mistake(solved: SolvedPositions) -> None:
    table = measure_mistakes(SolverAgent(GAME), solved, batch_size=50)
    assert table.all.mistakes == 0 and table.made == ()
    assert table.all.positions == 120 and len(table.by_ply) == 9
    assert table.all.raw_mistakes is None and table.all.raw_share is None
    assert table.all.interval.low == 0 and 0 < table.all.interval.high < 0.05


def test_random_moves_err_as_often_as_brute_force_says(solved: SolvedPositions) -> None:
    brute_force = BruteForce(GAME)
    shares, stakes = [], []
    for position in rows(solved):
        values = list(brute_force.action_values(jax.device_put(position)).values())
        worse = sum(value < max(values) for value in values)
        shares.append(worse / len(values))
        stakes.append(worse > 0)
    table = measure_mistakes(RandomAgent(GAME, batch_size=120), solved, batch_size=120)
    assert table.all.random_share == pytest.approx(np.mean(shares))
    assert table.all.at_stake == sum(stakes)
    plies = np.array(solved.positions.ply)
    for count in table.by_ply:
        there = plies == count.first_ply
        assert count.random_share == pytest.approx(np.mean(np.array(shares)[there]))
        assert count.at_stake == np.array(stakes)[there].sum()
    # What the agent does is one draw from that: within four standard deviations.
    found = [
        measure_mistakes(RandomAgent(GAME, batch_size=120), solved, seed=seed, batch_size=120)
        for seed in range(8)
    ]
    deviation = np.sqrt(sum(share * (1 - share) for share in shares) / len(found)) / len(shares)
    mean = np.mean([one.all.share for one in found])
    assert abs(mean - np.mean(shares)) < 4 * deviation < 0.1
    assert len({one.all.mistakes for one in found}) > 1


def test_an_agent_that_errs_at_one_ply_errs_there_alone(solved: SolvedPositions) -> None:
    table = measure_mistakes(errs(GAME, lambda position: int(position.ply) == 4), solved)
    by_ply = {count.first_ply: count for count in table.by_ply}
    assert by_ply[4].mistakes == by_ply[4].at_stake > 5
    assert [ply for ply, count in by_ply.items() if count.mistakes] == [4]
    assert table.all.mistakes == by_ply[4].mistakes == len(table.made)
    first, second, third = table.phases
    assert [(one.first_ply, one.last_ply) for one in table.phases] == [(0, 2), (3, 5), (6, 8)]
    assert (first.mistakes, second.mistakes, third.mistakes) == (0, by_ply[4].mistakes, 0)
    assert sum(one.positions for one in table.phases) == table.all.positions
    assert second.share == by_ply[4].mistakes / sum(by_ply[ply].positions for ply in (3, 4, 5))
    whole = sum(c.random_share * c.positions for c in table.by_ply) / table.all.positions
    assert table.all.random_share == pytest.approx(whole)
    for mistake in table.made:
        assert len(mistake.opening.actions) == 4 and mistake.action not in mistake.best
        # It is worth playing on from there: the moves are those that a person would type.
        assert mistake.to_dict()["actions"] == list(mistake.opening.actions)


def test_the_raw_network_is_counted_beside_the_search(solved: SolvedPositions) -> None:
    """An evaluator that prefers the corner, and is sure of nothing; a search sees a win in one."""
    preferences = np.zeros(9, np.float32)
    preferences[[0, 2, 6, 8]] = 3, 2, 2, 2

    def evaluate(params: Any, states: Any, *, key: Any) -> Evaluation:
        batch = states.player.shape[0]
        logits = jax.numpy.broadcast_to(jax.numpy.asarray(preferences), (batch, 9))
        return Evaluation(policy_logits=logits, value=jax.numpy.zeros(batch))

    config = SearchConfig(num_simulations=48, max_considered_actions=9)
    agent = SearchAgent("corner", GAME, evaluate, (), config, batch_size=40)
    table = measure_mistakes(agent, solved, batch_size=40)
    likeliest = np.argmax(np.where(solved.legal, preferences, -1.0), axis=1)
    clear = solved.legal & (preferences == np.where(solved.legal, preferences, -1).max(1)[:, None])
    assert (clear.sum(1) == 1).sum() > 20
    wrong = ~solved.best[np.arange(120), likeliest]
    assert table.all.raw_mistakes == wrong.sum() > 10
    assert table.all.raw_mistakes is not None
    assert table.all.mistakes < table.all.raw_mistakes
    assert table.all.raw_share == wrong.mean()
    document = table.to_dict()
    assert document["raw_mistakes"] == table.all.raw_mistakes
    assert [count["first_ply"] for count in document["by_ply"]] == list(range(9))
    assert document["share"] == table.all.mistakes / 120
    assert "made" not in document


def test_positions_without_a_solution_are_left_out() -> None:
    game = ODD.taught(lambda state: GAME.solve(state) if (state.cells >= 0).sum() >= 6 else None)
    solved = solve_positions(game, num_positions=60)
    assert min(len(opening.actions) for opening in solved.openings) == 6
    assert solved.unknown + len(solved.openings) == 60
    assert solved.unknown > 20 and solved.skipped == 0
    table = measure_mistakes(SolverAgent(game), solved)
    assert [count.first_ply for count in table.by_ply] == [6, 7, 8]
    assert [(one.first_ply, one.last_ply) for one in table.phases] == [(6, 6), (7, 7), (8, 8)]
    nothing = solve_positions(ODD.taught(lambda state: None), num_positions=60)
    assert nothing.openings == () and nothing.unknown == 60
    assert measure_mistakes(RandomAgent(GAME), nothing).by_ply == ()


def test_a_slow_solver_is_asked_from_the_end_until_the_time_is_over() -> None:
    ticks = itertools.count()
    solved = solve_positions(GAME, num_positions=60, seconds=25, clock=lambda: float(next(ticks)))
    # One look at the clock before the first position, and one before each.
    assert len(solved.openings) == 24
    assert solved.skipped == 36 and solved.unknown == 0
    everything = solve_positions(GAME, num_positions=60)
    assert solved.openings == everything.openings[36:]


def test_it_can_be_broken_off(solved: SolvedPositions) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve_positions(GAME, num_positions=4, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        measure_mistakes(SolverAgent(GAME), solved, progress=stop)
    with pytest.raises(ConfigError, match="num_positions is 0, but must be at least 1"):
        solve_positions(GAME, num_positions=0)


def test_a_solver_that_is_wrong_is_named(solved: SolvedPositions) -> None:
    def illegal(state: TicTacToeState) -> Solution | None:
        taken = [cell for cell, mark in enumerate(state.cells.ravel().tolist()) if mark >= 0]
        return Solution(value=0.0, actions=taken[:1])

    wrong = r"names the actions \[\d\], but legal are"
    with pytest.raises(GameContractError, match=wrong) as found:
        solve_positions(ODD.taught(illegal), num_positions=20)
    assert found.value.hint is not None and "selfplay check" in found.value.hint

    def failing(state: TicTacToeState) -> Solution | None:
        raise ZeroDivisionError

    with pytest.raises(GameContractError, match="fails: ZeroDivisionError"):
        solve_positions(ODD.taught(failing), num_positions=20)
    with pytest.raises(IllegalActionError, match="agent stubborn chose action 4 after the moves"):
        measure_mistakes(ScriptedAgent("stubborn", lambda state: 4, GAME), solved)
    with pytest.raises(IllegalActionError, match="chose action -1"):
        measure_mistakes(ScriptedAgent("nowhere", lambda state: -1, GAME), solved)


@pytest.mark.parametrize(
    "game", [SolvedStorm(stones=8), host(SolvedPythonStorm(stones=8))], ids=["jax", "python"]
)
def test_games_of_chance_and_games_in_plain_python(game: ChanceGame[Any]) -> None:
    assert has_solver(game)
    solved = solve_positions(game, num_positions=40)
    assert 20 < len(solved.openings) <= 40 and solved.unknown == 0
    assert {len(opening.actions) for opening in solved.openings} >= {0, 1, 2, 3}
    # All three first rolls are there, once each, and what chance did on the way is noted.
    assert sum(not opening.actions for opening in solved.openings) == 3
    assert all(len(one.outcomes) == len(one.actions) for one in solved.openings)
    assert any(outcome >= 0 for one in solved.openings for outcome in one.outcomes)
    perfect = measure_mistakes(SolverAgent(game), solved)
    assert perfect.all.mistakes == 0 and perfect.all.at_stake > 5
    wrong = measure_mistakes(errs(game, lambda position: int(position.ply) == 1), solved)
    assert [count.first_ply for count in wrong.by_ply if count.mistakes] == [1]
    assert wrong.all.mistakes == wrong.by_ply[1].at_stake > 1
    assert wrong.made[0].to_dict()["outcomes"] == list(wrong.made[0].opening.outcomes)


def test_who_has_a_solver() -> None:
    assert has_solver(GAME) and has_solver(host(SolvedPythonStorm(stones=2)))
    assert not has_solver(make("gomoku")) and not has_solver(host(PythonStorm(stones=2)))


def test_a_table_is_of_the_agent_and_the_positions(solved: SolvedPositions) -> None:
    table: MistakeTable = measure_mistakes(SolverAgent(GAME, name="perfect"), solved)
    assert (table.agent, table.position_set) == ("perfect", solved.position_set)
    assert (table.unknown, table.skipped) == (0, 0)
