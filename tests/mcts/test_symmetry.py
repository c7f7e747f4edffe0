"""Evaluations under the symmetries of a game; rotations, whose inverses are others."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Key, PyTree

from selfplay.arena.searcher import Searcher
from selfplay.game import Game, Position
from selfplay.mcts import Evaluation
from selfplay.mcts.symmetry import symmetric_evaluator
from selfplay.registry import make
from selfplay.settings.sections import SearchConfig
from tests.mcts.helpers import random_positions


@pytest.fixture(scope="module")
def game() -> Game[Any]:
    return make("tic_tac_toe")


def lopsided(game: Game[Any]) -> Any:
    """An evaluator that treats no two cells alike."""
    weights = jax.random.normal(jax.random.key(1), (18, 10))

    def evaluate(params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        del params, key
        seen = jax.vmap(game.observe)(states)
        found = seen.reshape(seen.shape[0], -1)[:, :18] @ weights
        return Evaluation(policy_logits=found[:, :9], value=jnp.tanh(found[:, 9]))

    return evaluate


def shares(game: Game[Any], found: Evaluation, states: PyTree) -> np.ndarray:
    legal = jax.vmap(game.legal_action_mask)(states)
    return np.asarray(jax.nn.softmax(jnp.where(legal, found.policy_logits, -1e9)))


def test_the_average_is_the_same_for_every_image(game: Game[Any]) -> None:
    states = random_positions(game, 32).state
    evaluate = symmetric_evaluator(game, lopsided(game), "average")
    key = jax.random.key(0)
    found = evaluate(None, states, key=key)
    plain = lopsided(game)(None, states, key=key)
    assert np.abs(np.asarray(found.value - plain.value)).max() > 0.1
    for symmetry in game.symmetries():
        image = jax.vmap(symmetry.map_state)(states)
        of_image = evaluate(None, image, key=key)
        np.testing.assert_allclose(of_image.value, found.value, atol=1e-6)
        moved = shares(game, of_image, image)[:, np.array(symmetry.permutation)]
        np.testing.assert_allclose(moved, shares(game, found, states), atol=1e-6)


def test_a_random_image_is_one_of_all_and_its_policy_is_turned_back(game: Game[Any]) -> None:
    plain = lopsided(game)
    key = jax.random.key(0)
    # A corner and two edges: no symmetry leaves this position as it is.
    state = game.init(key)
    for action in (0, 1, 5):
        state = game.step(state, jnp.int32(action))
    state = jax.tree.map(lambda leaf: leaf[None], state)
    states = jax.tree.map(lambda leaf: jnp.repeat(leaf, 400, axis=0), state)
    found = symmetric_evaluator(game, plain, "random")(None, states, key=key)
    policies = shares(game, found, states)
    identity = plain(None, state, key=key)
    values = [float(identity.value[0])]
    expected = [shares(game, identity, state)[0]]
    for symmetry in game.symmetries():
        image = jax.vmap(symmetry.map_state)(state)
        one = plain(None, image, key=key)
        values.append(float(one.value[0]))
        expected.append(shares(game, one, image)[0][np.array(symmetry.permutation)])
    which = np.abs(np.asarray(found.value)[:, None] - np.array(values)).argmin(axis=1)
    np.testing.assert_allclose(found.value, np.array(values)[which], atol=1e-6)
    np.testing.assert_allclose(policies, np.array(expected)[which], atol=1e-6)
    # Eight images, about 50 times each.
    assert np.bincount(which, minlength=8).min() > 20


def test_a_search_asks_as_it_is_told(game: Game[Any]) -> None:
    positions = random_positions(game, 8)
    turn = game.symmetries()[0].map_state
    mirrored: Position[Any] = jax.vmap(lambda one: Position(state=turn(one.state), ply=one.ply))(
        positions
    )
    for symmetry, alike in (("none", False), ("average", True)):
        config = SearchConfig(num_simulations=4, symmetry=symmetry).for_matches()
        searcher = Searcher(game, lopsided(game), config, batch_size=8)
        key = jax.random.key(3)
        first, second = (searcher(None, some, key=key) for some in (positions, mirrored))
        assert np.allclose(first.raw_value, second.raw_value, atol=1e-6) == alike
