"""The temperature of the network's policy at the root, against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.mcts.gumbel import GUMBEL
from selfplay.mcts.most_visited import PUCT
from selfplay.mcts.selection import mask_logits
from selfplay.registry import make
from selfplay.settings.sections import SearchConfig
from tests.mcts.helpers import compiled, first_positions, opinion, opinionated_evaluator

LEGAL = jnp.array([[True, True, True, False]])
# A policy of 4 to 2 to 1; the last action is illegal.
LOGITS = mask_logits(jnp.log(jnp.array([[4.0, 2.0, 1.0, 9.0]])), LEGAL)


def flattened(temperature: float) -> np.ndarray:
    powers = np.array([4.0, 2.0, 1.0]) ** (1 / temperature)
    return np.append(powers / powers.sum(), 0.0)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_puct_takes_the_policy_to_the_power(temperature: float) -> None:
    config = SearchConfig(
        algorithm="puct", root_temperature=temperature, dirichlet_fraction=0.0
    )  # fmt: skip
    found = PUCT.root_logits(LOGITS, LEGAL, config, key=jax.random.key(0))
    np.testing.assert_allclose(jax.nn.softmax(found)[0], flattened(temperature), atol=1e-6)
    assert found[0, 3] == LOGITS[0, 3]  # where the search looks for what is illegal


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_gumbel_draws_from_the_policy_to_the_power(temperature: float) -> None:
    many = jnp.repeat(LOGITS, 40_000, axis=0)
    config = SearchConfig(root_temperature=temperature)
    noise = GUMBEL.root_gumbel(many, jnp.zeros(many.shape), config, key=jax.random.key(0))
    drawn = np.bincount(np.argmax(noise + many, axis=1), minlength=4) / len(many)
    np.testing.assert_allclose(drawn, flattened(temperature), atol=0.01)


def test_the_target_of_gumbel_stays_that_of_the_networks_own_policy() -> None:
    game = make("tic_tac_toe")
    opinions = opinion(game, logits=jnp.arange(9) / 2)
    config = SearchConfig(num_simulations=2, sampling_plies=0, root_temperature=4.0)
    search = compiled(game, opinionated_evaluator(game), config)
    found = search(opinions, first_positions(game, 64), 0)
    # All moves are worth the same, so the search has nothing to add.
    np.testing.assert_allclose(found.policy, found.raw_policy, atol=1e-5)
    assert len(set(found.actions.tolist())) > 5


def test_matches_and_fast_moves_have_none() -> None:
    assert SearchConfig(root_temperature=2.0).for_matches().root_temperature == 1
