"""The table of search algorithms: everything in it can be used, and one line adds another."""

import jax
import jax.numpy as jnp
import mctx
import numpy as np
import pytest
from jaxtyping import Array, Float

from selfplay.errors import ConfigError
from selfplay.mcts import search, uniform_evaluator
from selfplay.mcts.algorithm import SearchAlgorithm
from selfplay.mcts.most_visited import MostVisited
from selfplay.registry import make
from selfplay.settings.choices import ALGORITHMS, implementation
from selfplay.settings.sections import SearchConfig
from tests.mcts.helpers import first_positions


class LowestFirst(MostVisited):
    """Visits legal actions in turn, the lowest number first."""

    def scores(self, tree: mctx.Tree, node: Array, config: SearchConfig) -> Float[Array, " A"]:
        visits = tree.children_visits[node]
        legal = tree.children_prior_logits[node] > -1e8
        return jnp.where(legal, -visits - jnp.arange(len(visits)) / 100, -1e6)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_each_entry_is_an_algorithm(name: str) -> None:
    assert isinstance(implementation(ALGORITHMS, name), SearchAlgorithm)


def test_an_entry_is_all_that_another_algorithm_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"(?m)must be one of: gumbel, puct, uct$"):
        SearchConfig(algorithm="lowest_first")
    monkeypatch.setitem(ALGORITHMS, "lowest_first", LowestFirst())
    game = make("tic_tac_toe")
    config = SearchConfig(algorithm="lowest_first", num_simulations=11).for_matches()
    found = search(
        game, uniform_evaluator(game), (), first_positions(game, 2), config, key=jax.random.key(0)
    )
    np.testing.assert_array_equal(found.visits, [[2, 2, 1, 1, 1, 1, 1, 1, 1]] * 2)
    assert set(found.actions.tolist()) <= {0, 1}
