"""Forced playouts and policy target pruning, against numbers worked out one by one."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.errors import ConfigError
from selfplay.mcts.selection import forced_visits, pruned_visits
from selfplay.registry import make
from selfplay.rollout.playout_cap import fast_search
from selfplay.settings.sections import RolloutConfig, SearchConfig
from tests.mcts.helpers import compiled, first_positions, opinion, opinionated_evaluator
from tests.mcts.test_selection import NODE, one_node

CONFIG = SearchConfig(algorithm="puct", forced_playouts=2.0)


def score(value: float, prior: float, visits: int, total: int) -> float:
    """Returns the PUCT score of an action, as the paper has it."""
    growth = math.log((total + CONFIG.puct_base + 1) / CONFIG.puct_base)
    return value + (CONFIG.puct_constant + growth) * prior * math.sqrt(total + 1) / (visits + 1)


def pruned(visits: list[int], values: list[float], prior: tuple[float, ...]) -> list[int]:
    """Takes visits away one by one, as the paper describes it."""
    total, best = sum(visits), int(np.argmax(visits))
    limit = score(values[best], prior[best], visits[best], total)
    left = list(visits)
    for action, count in enumerate(visits):
        forced = math.floor(math.sqrt(2.0 * prior[action] * total))
        while (
            action != best
            and left[action] > max(0, count - forced)
            and score(values[action], prior[action], left[action] - 1, total) <= limit
        ):
            left[action] -= 1
        if action != best and left[action] == 1:
            left[action] = 0
    return left


def test_the_number_of_forced_visits_is_that_of_the_paper() -> None:
    tree = one_node(visits=[10, 4, 2], values=[0.0, 0.0, 0.0])
    found = forced_visits(tree, NODE, CONFIG)
    expected = [math.sqrt(2 * 0.5 * 16), math.sqrt(2 * 0.3 * 16), math.sqrt(2 * 0.2 * 16), 0.0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_visits_are_pruned_one_by_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    visits = [int(one) for one in random.integers(0, 30, 3)]
    visits[int(random.integers(3))] += 30
    values = [float(one) for one in random.uniform(-0.9, 0.9, 3)]
    prior = tuple(float(one) for one in random.dirichlet([1.0, 1.0, 1.0]))
    # The tree holds values for whoever moves next.
    tree = one_node(visits=visits, values=[-value for value in values], prior=prior)
    found = pruned_visits(tree, NODE, CONFIG)
    np.testing.assert_array_equal(found[:3], pruned(visits, values, prior))
    assert found[3] == 0


def test_a_bad_move_that_was_only_explored_is_no_target() -> None:
    tree = one_node(visits=[40, 4, 2], values=[-0.5, 0.8, 0.8], prior=(0.6, 0.2, 0.2))
    np.testing.assert_array_equal(pruned_visits(tree, NODE, CONFIG), [40, 0, 0, 0])
    # A move that is as good keeps its visits.
    tree = one_node(visits=[40, 20, 2], values=[-0.5, -0.6, 0.8], prior=(0.6, 0.2, 0.2))
    assert pruned_visits(tree, NODE, CONFIG)[1] == 20


@pytest.mark.parametrize("tree", ["compact", "mctx"])
def test_a_search_visits_what_it_must_and_learns_only_what_it_chose(tree: str) -> None:
    game = make("tic_tac_toe")
    # All moves are worth the same, and the network believes in one of them.
    params = opinion(game, logits=jnp.array([3.0, *[0.0] * 8]))

    def search(forced: float) -> tuple[np.ndarray, np.ndarray]:
        config = SearchConfig(
            algorithm="puct",
            num_simulations=60,
            dirichlet_fraction=0.0,
            forced_playouts=forced,
            sampling_plies=0,
            tree=tree,
        )
        found = compiled(game, opinionated_evaluator(game), config)(
            params, first_positions(game, 8), 0
        )
        return np.asarray(found.visits), np.asarray(found.policy)

    usual, policy = search(0.0)
    np.testing.assert_allclose(policy, usual / 60, atol=1e-6)
    visits, policy = search(8.0)
    assert visits.sum(axis=1).tolist() == [60] * 8
    prior = np.asarray(jax.nn.softmax(jnp.array([3.0, *[0.0] * 8])))
    # The last simulations may have raised what is asked for.
    assert (visits[visits > 0] >= np.floor(np.sqrt(8 * prior[1] * 50))).all()
    assert visits[:, 1:].sum() > usual[:, 1:].sum()
    np.testing.assert_allclose(policy.sum(axis=1), 1.0, atol=1e-6)
    assert policy[:, 0].mean() > (visits[:, 0] / 60).mean()


def test_matches_and_fast_moves_force_nothing() -> None:
    assert CONFIG.for_matches().forced_playouts == 0
    fast = fast_search(CONFIG, RolloutConfig(full_search_share=0.5, fast_simulations=8))
    assert fast is not None and fast.forced_playouts == 0
    with pytest.raises(ConfigError, match=r"search.forced_playouts is -1"):
        SearchConfig(forced_playouts=-1.0)
