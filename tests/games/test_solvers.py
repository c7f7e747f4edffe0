"""Exact solutions of bundled games against brute force and against known results."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.game import Game
from selfplay.games.clobber import Clobber
from selfplay.registry import make
from tests.games.brute_force import Everything
from tests.games.matches import play_randomly

LABELLED = Path("benchmarks/data/connect_four_positions.json")
# Game, options, matches, and the first ply that positions are taken from.
CASES: list[tuple[str, dict[str, object], int, int]] = [
    ("breakthrough", {"rows": 4, "columns": 3}, 60, 4),
    ("connect_four", {"rows": 4, "columns": 4}, 16, 6),
    ("dots_and_boxes", {"rows": 2, "columns": 2}, 16, 4),
    ("hex", {"size": 3}, 16, 0),
    ("kalah", {"pits": 3, "seeds": 2, "empty_capture": True}, 30, 0),
    ("othello", {"size": 4}, 24, 0),
]
MORE_CASES: list[tuple[str, dict[str, object], int, int]] = [
    ("breakthrough", {"rows": 5, "columns": 2}, 60, 0),
    ("connect_four", {"rows": 4, "columns": 5}, 60, 11),
    ("connect_four", {}, 600, 33),
    ("dots_and_boxes", {"rows": 2, "columns": 2, "margin": True}, 24, 6),
    ("dots_and_boxes", {}, 30, 18),
    ("hex", {"size": 3, "swap": False}, 16, 0),
    ("hex", {"size": 4}, 30, 9),
    ("kalah", {"pits": 2, "seeds": 3}, 60, 0),
    ("othello", {}, 40, 55),
    ("othello", {"size": 6}, 40, 26),
]


def late_positions(game: Game[Any], matches: int, first_ply: int) -> list[Any]:
    """Returns the different positions of random matches from a ply on."""
    found = {}
    for number, ply in enumerate(play_randomly(game, matches, seed=5)):
        if number < first_ply:
            continue
        states = jax.device_get(ply.states)
        for row in np.flatnonzero(~ply.over).tolist():
            state = jax.tree.map(lambda leaf, row=row: np.array(leaf[row]), states)
            found[b"".join(leaf.tobytes() for leaf in jax.tree.leaves(state))] = state
    return list(found.values())


@pytest.mark.parametrize(
    ("name", "options", "matches", "first_ply"),
    [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_CASES)],
    ids=str,
)
def test_solutions_are_those_of_brute_force(
    name: str, options: dict[str, object], matches: int, first_ply: int
) -> None:
    game = make(name, **options)
    states = late_positions(game, matches, first_ply)
    everything = Everything(game, jax.tree.map(lambda *leaves: np.stack(leaves), *states))
    solved, values = 0, set()
    for root, state in enumerate(states):
        solution = game.solve(jax.tree.map(jnp.asarray, state))
        if solution is None:
            continue
        solved += 1
        value, actions = everything.solution(root)
        assert solution.value == pytest.approx(value, abs=1e-6), state
        assert set(solution.actions) == actions, state
        values.add(np.sign(solution.value))
    # All but the first positions of 4 by 4 Othello are within the limits.
    assert solved >= 0.9 * len(states) and solved >= 50, (solved, len(states))
    assert {-1, 1} <= values


def best_in_clobber(rules: Clobber, state: Any) -> tuple[float, set[int]]:
    """Returns the value and the best moves, by the rules alone."""
    known: dict[str, bool] = {}

    def wins(state: Any) -> bool:
        name = repr(state)
        if name not in known:
            known[name] = any(
                not wins(rules.apply(state, action)) for action in rules.legal_actions(state)
            )
        return known[name]

    legal = rules.legal_actions(state)
    good = {action for action in legal if not wins(rules.apply(state, action))}
    return (1.0, good) if good else (-1.0, set(legal))


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(3, 3), *(pytest.param(*size, marks=pytest.mark.slow) for size in ((2, 6), (3, 4)))],
)
def test_clobber_in_plain_python(rows: int, columns: int) -> None:
    rules = Clobber(rows=rows, columns=columns)
    rng = np.random.default_rng(rows * columns)
    seen = set()
    for _ in range(60):
        state = rules.initial_state(None)
        while legal := rules.legal_actions(state):
            if repr(state) not in seen:
                seen.add(repr(state))
                solution = rules.solve(state)
                assert solution is not None
                value, actions = best_in_clobber(rules, state)
                assert (solution.value, set(solution.actions)) == (value, actions)
            state = rules.apply(state, int(rng.choice(legal)))
    assert len(seen) > 50


@pytest.mark.parametrize(
    ("first_ply", "every"), [(27, 1), pytest.param(14, 6, marks=pytest.mark.slow)]
)
def test_connect_four_agrees_with_another_solver(first_ply: int, every: int) -> None:
    game = make("connect_four")
    rows = json.loads(LABELLED.read_text())
    labelled = [row for row in rows if row["ply"] >= first_ply][::every]
    solved = 0
    for row in labelled:
        state = game.init(jax.random.key(0))
        for action in row["moves"]:
            state = _step(game, state, jnp.int32(action))
        solution = game.solve(state)
        if solution is None:
            continue
        solved += 1
        assert solution.value == row["value"], row["moves"]
        assert sorted(solution.actions) == row["good"], row["moves"]
    # From 16 discs on nearly all are within the limit.
    assert len(labelled) > 90 and solved >= 0.9 * len(labelled)


_step = jax.jit(lambda game, state, action: game.step(state, action), static_argnums=0)
