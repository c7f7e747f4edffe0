"""Row M3: every search variant solves what is solved, and the suite that says so can fail."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from selfplay.check import BruteForce, ProblemSet, known_answers
from selfplay.check.solved.known_answers import (
    ALGORITHMS,
    all_problem_sets,
    coins_problems,
    double_move_problems,
    replay,
)
from selfplay.check.solved.small_games import Coins, Subtraction
from selfplay.errors import SelfplayError
from selfplay.game import Game, Position, Transition, advance
from selfplay.mcts import Evaluation, Evaluator, uniform_evaluator
from selfplay.registry import make

# The module: the package shows the function of the same name.
SEARCHES = [
    importlib.import_module(f"selfplay.mcts.{name}") for name in ("search", "compact_search")
]


@pytest.fixture(scope="module")
def problem_sets() -> dict[str, ProblemSet]:
    return {problem_set.name: problem_set for problem_set in all_problem_sets()}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "name", ["subtraction", "double moves", "coins", "tic_tac_toe", "connect_four"]
)
def test_every_answer_is_right(
    name: str, algorithm: str, problem_sets: dict[str, ProblemSet]
) -> None:
    answers = known_answers(algorithms=[algorithm], problem_sets=[problem_sets[name]])
    assert len(answers) == len(problem_sets[name].problems)
    assert [answer for answer in answers if not answer.right] == []
    # Far better than the uniform policy where there is something to choose.
    choices = [answer for answer in answers if answer.good_share_before < 0.99]
    before, after = (
        sum(getattr(answer, name) for answer in choices) / len(choices)
        for name in ("good_share_before", "good_share")
    )
    assert after > before + 0.2


def test_the_problems_are_what_they_claim_to_be(problem_sets: dict[str, ProblemSet]) -> None:
    # Heaps of 9 to 1: a multiple of 4 is lost, else leave one.
    for stones, problem in zip(range(9, 0, -1), problem_sets["subtraction"].problems, strict=True):
        assert problem.value == (-1 if stones % 4 == 0 else 1)
        assert problem.good == ((0, 1, 2) if stones % 4 == 0 else (stones % 4 - 1,))
    # The game's own solver agrees with brute force.
    game = make("tic_tac_toe")
    for problem in problem_sets["tic_tac_toe"].problems:
        solution = game.solve(replay(game, problem.moves).state)
        assert solution is not None
        assert (problem.value, problem.good) == (solution.value, tuple(solution.actions))
    assert {problem.value for problem in problem_sets["tic_tac_toe"].problems} == {-1, 0, 1}
    # Somebody moves twice, and some matches are cut.
    for name in ("double moves", "coins"):
        game = problem_sets[name].game
        players = [
            int(game.current_player(replay(game, moves).state))
            for moves in ((), (1,), (1, 0), (1, 0, 0))
        ]
        assert players not in ([0, 1, 0, 1], [1, 0, 1, 0])
    assert problem_sets["coins"].game.max_plies < len(Coins().coins)


def test_connect_four_labels_by_brute_force(problem_sets: dict[str, ProblemSet]) -> None:
    problem_set = problem_sets["connect_four"]
    latest = max(problem_set.problems, key=lambda problem: len(problem.moves))
    values = BruteForce(problem_set.game).action_values(replay(problem_set.game, latest.moves))
    assert max(values.values()) == latest.value
    assert tuple(action for action in values if values[action] == latest.value) == latest.good


def test_brute_force_on_a_row_worked_out_by_hand() -> None:
    # Left 2: one coin (3) is left, the other player takes it: (2 - 3) / 6. Left 1, odd: the same
    # player takes 2 or 3 next; 3 is odd again and leaves 2 as well: all 6 coins.
    game = Coins(coins=(2, 3, 1))
    values = BruteForce(game).action_values(replay(game, ()))
    # Taking 2 first leaves (3, 1), both odd: the other player takes both.
    assert values == {0: pytest.approx((2 - 4) / 6), 1: pytest.approx(1.0)}


def test_brute_force_refuses_games_that_are_not_small() -> None:
    with pytest.raises(SelfplayError, match=r"^tic_tac_toe has more than 100 positions, but "):
        BruteForce(make("tic_tac_toe"), max_positions=100).value(replay(make("tic_tac_toe"), ()))


def _changed(change: Callable[[Transition, Any], dict[str, Any]]) -> Callable[..., Transition]:
    """Returns `advance` with a fault."""

    def faulty(game: Game[Any], position: Position[Any], action: Any) -> Transition:
        transition = advance(game, position, action)
        return dataclasses.replace(transition, **change(transition, game))

    return faulty


def _hostile(game: Game[Any]) -> Evaluator:
    """Knows nothing, and praises ended matches."""
    uniform = uniform_evaluator(game)

    def evaluate(params: Any, states: Any, *, key: jax.Array) -> Evaluation:
        over = jax.vmap(game.is_terminal)(states)
        evaluation = uniform(params, states, key=key)
        logits = jnp.where(over[:, None], 1e9, evaluation.policy_logits).astype(jnp.float32)
        return Evaluation(policy_logits=logits, value=jnp.where(over, 1.0, 0.0))

    return evaluate


FAULTS: dict[str, dict[str, Any]] = {
    "the sign always turns": {
        "advance": _changed(lambda t, game: {"discount": jnp.where(t.over, 0.0, -1.0)})
    },
    "the sign never turns": {
        "advance": _changed(lambda t, game: {"discount": jnp.where(t.over, 0.0, 1.0)})
    },
    "the reward is for the other player": {
        "advance": _changed(lambda t, game: {"reward": -t.reward})
    },
    "the end of a match is not seen": {
        # One edge into it, turned as any other; from there the same player moves for ever.
        "advance": _changed(
            lambda t, game: {
                "discount": jnp.where(t.over, jnp.where(t.reward == 0, 1.0, -1.0), t.discount),
                "over": jnp.zeros_like(t.over),
            }
        )
    },
}


@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_suite_can_fail(fault: str, algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, broken in FAULTS[fault].items():
        for module in SEARCHES:
            monkeypatch.setattr(module, name, broken)
    answers = known_answers(
        algorithms=[algorithm], problem_sets=[double_move_problems()], make_evaluator=_hostile
    )
    assert sum(not answer.right for answer in answers) >= 3


def test_a_search_that_does_not_see_the_cut_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """`max_plies` ends the match for the search too; without it the suite finds mistakes."""

    def blind(game: Game[Any], position: Position[Any]) -> Any:
        return game.is_terminal(position.state)

    monkeypatch.setattr(importlib.import_module("selfplay.game.transition"), "is_over", blind)
    answers = known_answers(algorithms=["puct"], problem_sets=[coins_problems()])
    assert sum(not answer.right for answer in answers) >= 3


@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
def test_what_is_said_of_ended_matches_is_ignored(algorithm: str) -> None:
    answers = known_answers(
        algorithms=[algorithm], problem_sets=[double_move_problems()], make_evaluator=_hostile
    )
    assert [answer for answer in answers if not answer.right] == []


def test_subtraction_names_its_options() -> None:
    game = Subtraction(stones=5, again=1)
    assert int(game.current_player(replay(game, (0,)).state)) == 0
    assert int(game.current_player(replay(game, (1,)).state)) == 1
