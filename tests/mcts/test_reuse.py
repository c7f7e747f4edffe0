"""Tree reuse: the same searches as from scratch, with fewer evaluations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from selfplay.arena.searcher import Searcher
from selfplay.game import Position, advance
from selfplay.mcts import Evaluation
from selfplay.parallel import AXIS
from selfplay.registry import make
from selfplay.settings.sections import SearchConfig
from tests.mcts.helpers import first_positions

GAME = make("connect_four", rows=4, columns=5)
SIMULATIONS = 24
evaluated: list[int] = []
"""Rows of each evaluation that was made."""


def evaluate(params: Any, states: Any, *, key: Any) -> Evaluation:
    """Has an opinion of each position of its own, whole numbers alone, so that nothing rounds."""
    del key
    discs = states.discs.reshape(len(states.discs), -1).astype(jnp.int32)
    hashed = (discs @ jnp.arange(1, discs.shape[1] + 1) * params) % 17
    logits = (hashed[:, None] * jnp.arange(3, 3 + GAME.num_actions)[None]) % 7 / 4
    return Evaluation(
        policy_logits=logits.astype(jnp.float32), value=hashed.astype(jnp.float32) / 16 - 0.5
    )


def counted(params: Any, states: Any, *, key: Any) -> Evaluation:
    jax.debug.callback(lambda: evaluated.append(1))
    return evaluate(params, states, key=key)


def agent(*, batch_size: int = 1, **settings: Any) -> Searcher:
    config = SearchConfig(num_simulations=SIMULATIONS, **settings).for_matches()
    # One device, so that an evaluation is one call.
    mesh = Mesh(jax.local_devices()[:1], (AXIS,))
    # A program that calls the host is kept in no cache, so only what is counted does so.
    evaluator = counted if config.reuse_tree else evaluate
    return Searcher(
        GAME,
        evaluator,
        config,
        batch_size=batch_size,
        mesh=mesh,
        reuse_trees=config.reuse_tree,
    )


PUCT: dict[str, Any] = {"algorithm": "puct"}


@pytest.fixture(scope="module")
def reusing() -> Searcher:
    """Compiled once."""
    return agent(reuse_tree=True, **PUCT)


@pytest.fixture(scope="module")
def fresh() -> Searcher:
    return agent(max_children=GAME.num_actions, **PUCT)


def played(searcher: Searcher, opponent: Searcher) -> tuple[list[Any], list[int]]:
    """Returns what is found in matches, move by move, and how many evaluations each move took."""
    params = jnp.int32(5)
    found, counts = [], []
    for column in range(GAME.num_actions):
        positions = _moved(first_positions(GAME, 1), jnp.array([column]))
        for _ in range(3):
            assert not np.asarray(jax.vmap(GAME.is_terminal)(positions.state)).any()
            evaluated.clear()
            # No ties, so the key decides nothing.
            one = searcher(params, positions, key=jax.random.key(0))
            jax.effects_barrier()
            counts.append(len(evaluated))
            found.append(one)
            positions = _moved(positions, jnp.asarray(one.actions))
            reply = opponent(params, positions, key=jax.random.key(0))
            positions = _moved(positions, jnp.asarray(reply.actions))
    return found, counts


@jax.jit
def _moved(positions: Position[Any], actions: jax.Array) -> Position[Any]:
    return jax.vmap(lambda one, action: advance(GAME, one, action).position)(positions, actions)


@pytest.mark.parametrize(
    "settings",
    [
        PUCT,
        pytest.param({"algorithm": "puct", "proven": "one-ply"}, marks=pytest.mark.slow),
        pytest.param({"algorithm": "uct", "proven": "visited"}, marks=pytest.mark.slow),
    ],
    ids=lambda settings: "-".join(settings.values()),
)
def test_matches_are_the_same_with_fewer_evaluations(
    settings: dict[str, Any], reusing: Searcher, fresh: Searcher
) -> None:
    """In PUCT and UCT a node does not depend on what lies above it."""
    if settings != PUCT:
        fresh = agent(max_children=GAME.num_actions, **settings)
        reusing = agent(reuse_tree=True, **settings)
    whole, _ = played(fresh, fresh)
    reused, counts = played(reusing, fresh)
    for one, other in zip(whole, reused, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.visits, other.visits)
        np.testing.assert_array_equal(one.proven, other.proven)
        np.testing.assert_allclose(one.value, other.value, atol=1e-5)
        np.testing.assert_allclose(one.policy, other.policy, atol=1e-5)
    # The first move of a match knows nothing: it takes an evaluation of the root and one for each
    # simulation, unless all is proven before.
    usual = counts[::3]
    assert max(usual) <= SIMULATIONS + 1
    if settings == PUCT:
        assert set(usual) == {SIMULATIONS + 1}
        assert sum(counts) < 0.97 * len(counts) * (SIMULATIONS + 1)


@pytest.mark.slow
def test_gumbel_goes_on_by_its_rule_for_other_nodes(fresh: Searcher) -> None:
    found, counts = played(agent(reuse_tree=True), fresh)
    for one in found:
        np.testing.assert_array_equal(one.visits.sum(axis=1), SIMULATIONS)
        np.testing.assert_allclose(one.policy.sum(axis=1), 1, atol=1e-5)
    assert sum(counts) < len(counts) * counts[0]


def test_a_position_is_known_with_the_same_weights_alone(reusing: Searcher) -> None:
    position, params = first_positions(GAME, 1), jnp.int32(5)
    first, usual = asked(reusing, params, position)
    again, count = asked(reusing, params, position)
    # All is known: only the root is evaluated.
    assert (usual, count) == (SIMULATIONS + 1, 1)
    np.testing.assert_array_equal(again.visits, first.visits)
    assert asked(reusing, jnp.int32(6), position)[1] == usual
    # Nothing is known of a match that went another way.
    other, params = _moved(position, first.actions), jnp.int32(7)
    asked(reusing, params, other)
    assert asked(reusing, params, position)[1] == usual


@pytest.mark.slow
def test_a_position_is_found_in_the_tree_of_another_match() -> None:
    searcher = agent(batch_size=4, reuse_tree=True, **PUCT)
    positions = _moved(first_positions(GAME, 4), jnp.arange(4))
    params = jnp.int32(5)
    first, _ = asked(searcher, params, positions)
    again, count = asked(searcher, params, jax.tree.map(lambda leaf: leaf[::-1], positions))
    assert count == 1
    np.testing.assert_array_equal(again.visits, first.visits[::-1])


def asked(searcher: Searcher, params: jax.Array, positions: Position[Any]) -> tuple[Any, int]:
    """Returns what is found, and how many evaluations it took."""
    evaluated.clear()
    found = searcher(params, positions, key=jax.random.key(0))
    jax.effects_barrier()
    return found, len(evaluated)
