"""What a network says of positions, compared with plain NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.evaluation.predictions import ExampleMaker, Predictor, top_shares
from selfplay.learner import Scores
from selfplay.networks import Network, build_network
from selfplay.registry import make
from selfplay.settings.sections import NetworkConfig, ReplayConfig
from tests.records.examples import RandomMatches

GAME = make("tic_tac_toe")


@pytest.fixture(scope="module")
def network() -> Network:
    return build_network(GAME, NetworkConfig(kind="mlp", blocks=1, channels=8))


@pytest.fixture(scope="module")
def predictor(network: Network) -> Predictor:
    return Predictor(GAME, network)


def test_every_number_by_hand(network: Network, predictor: Predictor) -> None:
    matches = [example.record for example in RandomMatches(GAME).several(40)]
    for match in matches[::4]:
        match.is_target[::2] = False
    examples = ExampleMaker(GAME, ReplayConfig(), positions=10_000)(matches)
    assert examples is not None
    # The heads of a new network give 0 everywhere.
    fresh, noise = network.init(key=jax.random.key(1)), np.random.default_rng(0)
    weights = jax.tree.map(
        lambda leaf: leaf + noise.normal(0.0, 0.3, leaf.shape).astype(leaf.dtype), fresh
    )
    found = predictor.quality(weights, examples)
    samples = examples.samples
    assert len(samples.outcomes) == sum(match.plies for match in matches) > 256
    assert np.bincount(examples.match_numbers).sum() == len(samples.outcomes)
    observations = jax.vmap(GAME.observe)(samples.states)
    prediction = jax.device_get(network.apply(weights, observations))
    legal = np.asarray(jax.vmap(GAME.legal_action_mask)(samples.states))
    crosses, entropies, own, uniform, ranks = [], [], [], [], []
    for row in np.flatnonzero(samples.policy_weights):
        logits = np.where(legal[row], prediction.policy_logits[row], -np.inf).astype(np.float64)
        policy = np.exp(logits - logits.max())
        policy /= policy.sum()
        target = np.zeros(9)
        np.add.at(target, samples.policy_actions[row], samples.policy_probabilities[row])
        target /= target.sum()
        some, known = target > 0, policy > 0
        crosses.append(-(target[some] * np.log(policy[some])).sum())
        entropies.append(-(target[some] * np.log(target[some])).sum())
        own.append(-(policy[known] * np.log(policy[known])).sum())
        uniform.append(np.log(legal[row].sum()))
        ranks.append((policy > policy[target.argmax()]).sum())
    policy_found = found.policy
    assert policy_found is not None
    assert policy_found.positions == len(crosses) < len(samples.outcomes)
    assert policy_found.cross_entropy == pytest.approx(np.mean(crosses), rel=1e-4)
    assert policy_found.search_entropy == pytest.approx(np.mean(entropies), rel=1e-4)
    assert policy_found.entropy == pytest.approx(np.mean(own), rel=1e-4)
    assert policy_found.uniform == pytest.approx(np.mean(uniform), rel=1e-4)
    assert len(set(ranks)) > 4
    for count in (1, 3, 5):
        assert policy_found.top[count] == pytest.approx(np.mean(np.array(ranks) < count), abs=0.01)
    assert found.value is not None
    error = np.mean((prediction.value - samples.outcomes) ** 2)
    assert found.value.squared_error == pytest.approx(error, rel=1e-4)
    search = np.sqrt(np.mean((prediction.value - samples.search_values) ** 2))
    assert found.search_error == pytest.approx(search, rel=1e-4)
    assert found.to_dict()["policy"]["top_3"] == policy_found.top[3]


@pytest.mark.parametrize("tied_best", [1, 2])
def test_actions_held_for_equally_likely_are_taken_in_random_order(tied_best: int) -> None:
    """An untrained network is no better than chance, by the average over all orders."""
    rank, tied = 1, 5
    zero = jnp.zeros(1)
    scores = Scores(
        cross_entropy=zero,
        search_entropy=zero,
        entropy=zero,
        uniform=zero,
        rank=jnp.full(1, rank, jnp.int32),
        tied=jnp.full(1, tied, jnp.int32),
        tied_best=jnp.full(1, tied_best, jnp.int32),
        value=zero,
    )
    orders = list(itertools.permutations(range(tied)))
    for count in range(1, 8):
        places = max(0, count - rank)
        hits = [any(action < tied_best for action in order[:places]) for order in orders]
        assert top_shares(scores, count)[0] == pytest.approx(np.mean(hits))


def test_whole_matches_are_drawn_without_replacement() -> None:
    matches = [example.record for example in RandomMatches(GAME).several(30, seed=100)]
    maker = ExampleMaker(GAME, ReplayConfig(value_lambda=0.0), positions=50)
    values = []
    for _ in range(2):
        examples = maker(matches, seed=4)
        assert examples is not None
        assert len(examples.match_numbers) == 50
        values.append(examples.samples.search_values)
    np.testing.assert_array_equal(values[0], values[1])
    assert len(set(values[0].tolist())) == 50
    other = maker(matches, seed=5)
    assert other is not None
    assert set(other.samples.search_values.tolist()) != set(values[0].tolist())
    assert maker([], seed=0) is None
