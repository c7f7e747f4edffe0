"""The solver at the ends of finished matches: what is compared, and which targets become exact."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from games.tic_tac_toe import TicTacToe
from selfplay.errors import ConfigError, GameContractError
from selfplay.game import Solution
from selfplay.records import MatchRecord
from selfplay.records.match import FIELDS, same_content
from selfplay.registry import make
from selfplay.replay import Rebuilder
from selfplay.replay.search_values import outcomes
from selfplay.run import RunDirectory
from selfplay.runtime.components import Components, make_components
from selfplay.runtime.endgame_solver import EndgameSolver, compared, with_solutions
from selfplay.runtime.playing import Playing
from selfplay.settings import Config, settings_hash
from selfplay.settings.sections import RolloutConfig
from tests.records.examples import make_record
from tests.training.runs import make_run, tiny_components

PLIES = 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return make_run(tmp_path_factory.mktemp("solver") / "run", tiny_components())[0]


def components(solver: str) -> Components:
    """Returns the tiny components: a solver compiles nothing."""
    tiny = tiny_components()
    changed = tiny.config.updated({"rollout": {"solver": solver, "solver_plies": PLIES}})
    return dataclasses.replace(tiny, config=changed)


Played = tuple[list[MatchRecord], Playing, dict[str, Any]]


@pytest.fixture(scope="module")
def plain(run: RunDirectory) -> Played:
    return played(run, "off")


def played(run: RunDirectory, solver: str) -> Played:
    """Returns the matches of a few chunks, what played them, and what a checkpoint would hold."""
    parts = components(solver)
    playing = Playing(
        parts, parts.provenance(run, "w"), start_key=jax.random.key(1), play_key=jax.random.key(2)
    )
    weights = parts.learner.init(key=jax.random.key(0)).weights
    matches = [
        match
        for sequence in range(8)
        for match in playing.chunk(weights, update=0, sequence=sequence)
    ]
    return matches, playing, playing.items()


def test_a_solver_that_only_looks_on_changes_nothing(run: RunDirectory, plain: Played) -> None:
    matches, without, state = plain
    watched, playing, other = played(run, "shadow")
    assert len(matches) > 8
    assert same_content(watched, matches)
    jax.tree.map(np.testing.assert_array_equal, other, state)
    assert without.solver.metrics() == {"solver_agreement": None, "solver_value_error": None}
    metrics = playing.solver.metrics()
    # The network has learnt nothing, and four simulations do not see everything.
    assert 0.3 < metrics["solver_agreement"] < 1
    assert 0 < metrics["solver_value_error"] < 2


def test_live_targets_are_exact_and_all_else_is_as_it_was(run: RunDirectory, plain: Played) -> None:
    matches, _, state = plain
    solved, playing, other = played(run, "live")
    jax.tree.map(np.testing.assert_array_equal, other, state)
    game = make("tic_tac_toe")
    positions = Rebuilder(game)(solved)  # such records can be learnt from
    row = agreed = known = 0
    error = 0.0
    for before, match in zip(matches, solved, strict=True):
        exact = match.proven
        np.testing.assert_array_equal(exact, np.arange(match.plies) >= match.plies - PLIES)
        for ply in range(match.plies):
            state_there = jax.tree.map(lambda leaf, at=row: leaf[at], positions.states)
            row += 1
            actions, shares = match.policy(ply)
            if not exact[ply]:
                np.testing.assert_array_equal(actions, before.policy(ply)[0])
                np.testing.assert_array_equal(shares, before.policy(ply)[1])
                assert match.root_values[ply] == before.root_values[ply]
                continue
            solution = game.solve(state_there)
            assert solution is not None
            assert match.root_values[ply] == outcomes(match)[ply] == solution.value
            assert set(actions.tolist()) <= set(solution.actions)
            assert shares.sum() == pytest.approx(1)
            known += 1
            searched = before.policy(ply)
            agreed += int(searched[0][searched[1].argmax()]) in solution.actions
            error += abs(before.root_values[ply] - solution.value)
        same = {field.name for field in FIELDS} - {
            "root_values", "proven", "policy_actions", "policy_probabilities", "settings_hash",
            "plies",
        }  # fmt: skip
        for name in same:
            assert np.array_equal(getattr(match, name), getattr(before, name)), name
        assert match.settings_hash != before.settings_hash
    metrics = playing.solver.metrics()
    assert metrics["solver_agreement"] == pytest.approx(agreed / known)
    assert metrics["solver_value_error"] == pytest.approx(error / known)


def test_what_is_kept_of_a_policy() -> None:
    match = make_record(
        0,
        players=[0, 1, 0],
        actions=[0, 1, 2],
        policies=[([0, 1], [0.5, 0.5]), ([1, 2, 3], [0.6, 0.3, 0.1]), ([4], [1.0])],
    )
    solutions = {1: Solution(value=1.0, actions=(2, 3)), 2: Solution(value=-1.0, actions=(8, 7))}
    found = with_solutions(match, solutions)
    np.testing.assert_array_equal(found.policy(0)[0], [0, 1])
    np.testing.assert_array_equal(found.policy(1)[0], [2, 3])
    np.testing.assert_allclose(found.policy(1)[1], [0.75, 0.25], rtol=1e-6)
    # The search did not think of them.
    np.testing.assert_array_equal(found.policy(2)[0], [7, 8])
    np.testing.assert_allclose(found.policy(2)[1], [0.5, 0.5])
    assert found.proven.tolist() == [False, True, True]
    assert found.root_values[1:].tolist() == [1, -1]
    values = match.root_values
    comparison = compared(match, solutions)
    assert (comparison.positions, comparison.best) == (2, 0)
    assert comparison.error == pytest.approx(abs(values[1] - 1) + abs(values[2] + 1))
    assert with_solutions(match, {}) is match


class Asked(TicTacToe):
    """Counts how its solver is asked; it knows no position with fewer than `least` marks."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.least = least
        self.plies: list[int] = []

    def solve(self, state: Any) -> Solution | None:  # type: ignore[override]
        marks = int((np.asarray(state.cells) >= 0).sum())
        self.plies.append(marks)
        return super().solve(state) if marks >= self.least else None


def test_it_goes_back_until_the_solver_has_no_answer(plain: Played) -> None:
    game = Asked(least=5)
    match = max(plain[0], key=lambda match: match.plies)
    (found,) = EndgameSolver(game, RolloutConfig(solver="live")).judge([match])
    assert game.plies == list(range(match.plies - 1, 3, -1))
    np.testing.assert_array_equal(found.proven, np.arange(match.plies) >= 5)
    # A match that its length alone ended is left out.
    game.plies = []
    cut = dataclasses.replace(match, ending="length", truncated=True)
    solver = EndgameSolver(game, RolloutConfig(solver="live"))
    solver._rebuild = lambda matches: Rebuilder(game)([match])  # type: ignore[assignment]
    assert solver.judge([cut]) == [cut]
    assert game.plies == []


class Broken(TicTacToe):
    """Its solver names a move that is not legal."""

    def solve(self, state: Any) -> Solution:
        return Solution(value=0.0, actions=(99,))


def test_a_solver_that_fails_stops_training_only_where_targets_depend_on_it(
    plain: Played,
) -> None:
    matches = plain[0]
    said: list[str] = []
    watching = EndgameSolver(Broken(), RolloutConfig(solver="shadow"), say=said.append)
    assert watching.judge(matches) == watching.judge(matches) == matches
    assert len(said) == 1 and "names the actions [99]" in said[0]
    with pytest.raises(GameContractError, match=r"names the actions \[99\]"):
        EndgameSolver(Broken(), RolloutConfig(solver="live")).judge(matches)


def test_a_game_without_a_solver_is_refused() -> None:
    config = Config.from_dict({"rollout": {"solver": "shadow"}})
    with pytest.raises(ConfigError, match=r"^rollout\.solver is 'shadow', but gomoku has no"):
        make_components(make("gomoku", size=5), config)


def test_records_depend_on_the_solver_only_where_it_makes_targets() -> None:
    def named(**rollout: Any) -> str:
        return settings_hash(Config.from_dict({"rollout": rollout}))

    assert named(solver="shadow", solver_plies=3) == named()
    assert named(solver="live", solver_plies=3) != named(solver="live") != named()
