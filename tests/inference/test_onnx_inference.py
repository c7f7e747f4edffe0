"""ONNX Runtime inside the compiled search: the same search, new weights without recompiling."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import PyTree

from selfplay.arena.searcher import Searcher
from selfplay.errors import ConfigError
from selfplay.inference import Inference, XlaInference
from selfplay.inference.onnx_inference import OnnxInference, measure_ranges
from selfplay.networks import Weights
from selfplay.registry import make
from selfplay.settings.sections import NetworkConfig, SearchConfig
from tests.conftest import Compilations
from tests.inference.networks import lively_weights, network_for
from tests.mcts.helpers import random_positions

GAME = make("connect_four")
CONFIG = NetworkConfig(blocks=1, channels=8)
NETWORK = network_for(CONFIG)
SEARCH = SearchConfig(num_simulations=8, sampling_plies=0, gumbel_scale=0.0)
POSITIONS = random_positions(GAME, 32)


def weights(seed: int) -> Weights:
    return lively_weights(NETWORK, seed=seed)


def find(inference: Inference, searcher: Searcher, seed: int) -> np.ndarray:
    """Returns the improved policies that these weights lead to."""
    params = inference.load(weights(seed))
    return np.asarray(searcher(params, POSITIONS, key=jax.random.key(1)).policy)


@functools.cache
def searcher_of(kind: str) -> tuple[OnnxInference, Searcher]:
    inference = OnnxInference(GAME, NETWORK, CONFIG, int8=kind == "onnx-int8")
    return inference, Searcher(GAME, inference.evaluate, SEARCH, batch_size=32)


def test_the_search_is_that_of_xla() -> None:
    xla = XlaInference(GAME, NETWORK)
    expected = find(xla, Searcher(GAME, xla.evaluate, SEARCH, batch_size=32), 0)
    inference, searcher = searcher_of("onnx")
    # Roundings may tip a move here and there.
    distance = np.abs(find(inference, searcher, 0) - expected).sum(axis=-1)
    assert np.median(distance) < 1e-3
    assert (distance < 0.02).mean() > 0.9


def test_raw_weights_are_refused_with_what_to_pass_instead() -> None:
    _, searcher = searcher_of("onnx")
    with pytest.raises(
        ConfigError, match=r"^search\.inference is 'onnx', but the search was given"
    ):
        searcher(weights(0), POSITIONS, key=jax.random.key(1))


def test_new_weights_go_live_without_compiling(compilations: Compilations) -> None:
    inference, searcher = searcher_of("onnx")
    before = find(inference, searcher, 0)
    with compilations() as compiled:
        other = find(inference, searcher, 1)
        again = find(inference, searcher, 0)
    assert compiled == []
    assert np.abs(before - other).max() > 0.1
    np.testing.assert_array_equal(before, again)


def test_int8_begins_as_float_and_goes_live_after_a_calibration(
    compilations: Compilations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfplay.inference.onnx_inference.FEWEST_SAMPLES", 20)
    inference, searcher = searcher_of("onnx-int8")
    params = inference.load(weights(0))
    assert inference.calibrate(params) is None
    as_float = searcher(params, POSITIONS, key=jax.random.key(1)).raw_value
    found = inference.calibrate(params)
    assert found is not None
    assert found.good
    # Half of what these params have seen was compared.
    assert found.positions >= 10
    with compilations() as compiled:
        calibrated = inference.load(weights(0))
        as_int8 = searcher(calibrated, POSITIONS, key=jax.random.key(1)).raw_value
    assert compiled == []
    assert 0 < np.abs(as_float - as_int8).max() < 0.2
    # The weights loaded before stay what they were.
    np.testing.assert_array_equal(
        as_float, searcher(params, POSITIONS, key=jax.random.key(1)).raw_value
    )
    for used in (params, calibrated):
        inference.release(used)


def test_int8_that_agrees_badly_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfplay.inference.onnx_inference.FEWEST_SAMPLES", 20)
    inference, searcher = searcher_of("onnx-int8")
    params = inference.load(weights(0))
    searcher(params, POSITIONS, key=jax.random.key(1))
    # As if all that goes into the convolutions and comes out of them were nearly nothing.
    monkeypatch.setattr(
        "selfplay.inference.onnx_inference.measure_ranges",
        lambda *measured: 1e-3 * measure_ranges(*measured),
    )
    found = inference.calibrate(params)
    assert found is not None
    assert not found.good
    assert inference.ranges is None


def test_ranges_of_another_version_are_measured_anew() -> None:
    inference, _ = searcher_of("onnx-int8")
    inference.ranges = np.zeros((10, 2), np.float32)
    inference.load(weights(0))
    assert inference.ranges is None


def test_ended_matches_are_not_computed() -> None:
    inference, _ = searcher_of("onnx")
    states = POSITIONS.state
    params = inference.load(weights(0))
    assert not np.asarray(jax.vmap(GAME.is_terminal)(states)).any()
    inference.evaluate(params, states, key=jax.random.key(0))
    assert inference.counts(params).asked == 32

    def drop(states: PyTree) -> PyTree:
        """Drops a piece in the first column where that is possible."""
        legal = jax.vmap(GAME.legal_action_mask)(states)[:, 0]
        possible = legal & ~jax.vmap(GAME.is_terminal)(states)
        return jax.tree.map(
            lambda new, old: jnp.where(possible.reshape(-1, *[1] * (old.ndim - 1)), new, old),
            jax.vmap(GAME.step)(states, jnp.zeros(32, jnp.int32)),
            states,
        )

    ended = functools.reduce(lambda states, _: drop(states), range(6), states)
    over = np.asarray(jax.vmap(GAME.is_terminal)(ended))
    assert 0 < over.sum() < 32
    found = inference.evaluate(params, ended, key=jax.random.key(0))
    assert inference.counts(params).asked == 32 + (~over).sum()
    assert not np.asarray(found.policy_logits)[over].any()
    inference.release(params)
