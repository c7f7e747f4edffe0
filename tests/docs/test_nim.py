"""The formula in docs/examples/nim.py is perfect play, by a search to the end."""

import itertools
import runpy
from pathlib import Path
from typing import Any

import jax
import pytest

from selfplay import Reply, make, solve_exactly
from selfplay.arena import RandomAgent, SolverAgent, play_matches

NIM = Path(__file__).parents[2] / "docs" / "examples" / "nim.py"


@pytest.mark.parametrize("heaps", [(1, 2, 3), (3, 3), (4,), (2, 2, 2, 2)])
def test_the_formula_agrees_with_a_search_in_every_position(heaps: tuple[int, ...]) -> None:
    nim = runpy.run_path(str(NIM))["Nim"](heaps)

    def expand(state: Any) -> float | list[Reply]:
        if nim.is_terminal(state):
            return float(nim.returns(state)[state[1]])
        return [Reply(action, nim.apply(state, action)) for action in nim.legal_actions(state)]

    sizes = itertools.product(*(range(size + 1) for size in heaps))
    for state in ((left, player) for left in sizes if any(left) for player in (0, 1)):
        replies = expand(state)
        assert isinstance(replies, list)
        found = solve_exactly(replies, expand, max_positions=10_000)
        formula = nim.solve(state)
        assert found is not None
        assert (formula.value, set(formula.actions)) == (found.value, set(found.actions))


def test_the_solver_wins_every_match_that_can_be_won() -> None:
    game = make(f"{NIM}:Nim", heaps=[1, 2, 2])
    first = game.solve(game.init(jax.random.key(0)))
    assert first is not None and first.value == 1.0
    table = play_matches(
        game, SolverAgent(game), RandomAgent(game, batch_size=4), num_matches=8, opening_plies=0
    )
    assert [match.score for match in table.matches if match.seat == 0] == [1.0] * 4
