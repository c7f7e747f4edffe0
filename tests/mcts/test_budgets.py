"""Simulations scaled by uncertainty: as many as the formula says, and little else computed."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mctx._src.seq_halving import get_table_of_considered_visits

from selfplay.mcts import Evaluation, search
from selfplay.mcts.budgets import considered_visits, scaled_simulations
from selfplay.mcts.shrinking import batch_sizes, simulate_while_any
from selfplay.registry import make
from selfplay.rollout.playout_cap import fast_search
from selfplay.settings.sections import RolloutConfig, SearchConfig
from tests.mcts.helpers import first_positions

GAME = make("connect_four", rows=5, columns=5)
BATCH = 64
MOST = 16
CONFIG = SearchConfig(num_simulations=MOST, scale_simulations=True, sampling_plies=0)


def test_the_number_follows_the_uncertainty() -> None:
    wins = np.linspace(0, 1, 101)
    found = np.asarray(scaled_simulations(jnp.asarray(2 * wins - 1, jnp.float32), 100))
    np.testing.assert_allclose(found, np.maximum(2, 400 * wins * (1 - wins)), atol=0.51)
    assert (found[0], found[50], found[100]) == (2, 100, 2)
    assert scaled_simulations(jnp.float32(1.5), 100) == 2  # rounding of an evaluator


def test_the_timetable_is_that_of_mctx() -> None:
    most = 17
    ask = jax.jit(jax.vmap(functools.partial(considered_visits, most_considered=most)))
    for budget in (2, 3, 5, 8, 16, 17, 31, 64, 100):
        table = np.array(get_table_of_considered_visits(most, budget))
        considered, made = (part.ravel() for part in np.indices(table.shape))
        found = ask(jnp.asarray(considered), jnp.full(table.size, budget), jnp.asarray(made))
        np.testing.assert_array_equal(np.asarray(found), table.ravel(), err_msg=str(budget))


def evaluate(params: Any, states: Any, *, key: Any) -> Evaluation:
    """Has an opinion of each position of its own; `params` [B] is the value of the roots."""
    del key
    discs = states.discs.reshape(len(states.discs), -1).astype(jnp.float32)
    hashed = jnp.sin(discs @ jnp.arange(1.0, discs.shape[1] + 1))
    at_root = (discs == 0).all(axis=1)
    roots = jnp.resize(params, hashed.shape)
    logits = jnp.sin(hashed[:, None] * jnp.arange(3.0, 3.0 + GAME.num_actions)[None])
    return Evaluation(policy_logits=logits, value=jnp.where(at_root, roots, 0.8 * hashed))


@pytest.fixture(scope="module")
def values() -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).uniform(-1, 1, BATCH), jnp.float32)


@pytest.mark.parametrize("algorithm", ["gumbel", pytest.param("puct", marks=pytest.mark.slow)])
def test_each_search_is_the_one_with_so_many_simulations(algorithm: str, values: jax.Array) -> None:
    config = dataclasses.replace(CONFIG, algorithm=algorithm)
    positions = first_positions(GAME, BATCH)

    def found(config: SearchConfig) -> Any:
        run = jax.jit(functools.partial(search, GAME, evaluate, config=config))
        return jax.device_get(run(values, positions, key=jax.random.key(3)))

    scaled = found(config)
    budgets = np.asarray(scaled_simulations(values, MOST))
    np.testing.assert_array_equal(scaled.visits.sum(axis=1), budgets)
    assert budgets.min() == 2 and budgets.max() == MOST
    for budget in (2, 7):
        alike = dataclasses.replace(
            config, num_simulations=budget, scale_simulations=False, max_children=GAME.num_actions
        )
        plain, rows = found(alike), np.flatnonzero(budgets == budget)
        assert len(rows)
        np.testing.assert_array_equal(scaled.visits[rows], plain.visits[rows])
        np.testing.assert_array_equal(scaled.actions[rows], plain.actions[rows])
        np.testing.assert_allclose(scaled.policy[rows], plain.policy[rows], atol=1e-5)
        np.testing.assert_allclose(scaled.value[rows], plain.value[rows], atol=1e-5)


def test_searches_that_have_ended_are_hardly_computed() -> None:
    assert batch_sizes(64) == [64, 32] and batch_sizes(63) == [63]
    budgets = jnp.asarray(np.random.default_rng(1).permutation(np.arange(64) // 2 + 1), jnp.int32)
    computed: list[int] = []

    def simulate(rows: Any, waits: Any, number: Any, key: Any) -> Any:
        made, budgets, names = rows
        jax.debug.callback(lambda: computed.append(len(made)))
        return made + ~waits, budgets, names

    run = jax.jit(
        lambda rows, key: simulate_while_any(
            rows, simulate, lambda rows, number: number >= rows[1], most=32, key=key
        )
    )
    made, _, names = run((jnp.zeros(64, jnp.int32), budgets, jnp.arange(64)), jax.random.key(0))
    jax.effects_barrier()
    np.testing.assert_array_equal(made, budgets)
    np.testing.assert_array_equal(names, np.arange(64))
    # Half of them have ended after 16.
    assert computed == [64] * 16 + [32] * 16
    # Where all end together, nothing follows.
    computed.clear()
    run((jnp.zeros(64, jnp.int32), jnp.full(64, 3, jnp.int32), names), jax.random.key(0))
    jax.effects_barrier()
    assert computed == [64] * 3


def test_matches_and_fast_moves_have_the_number_that_was_asked_for() -> None:
    assert not CONFIG.for_matches().scale_simulations
    fast = fast_search(CONFIG, RolloutConfig(full_search_share=0.5, fast_simulations=4))
    assert fast is not None and not fast.scale_simulations
