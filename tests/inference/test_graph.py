"""The ONNX graphs: the same function as the flax modules, in float32 and nearly so in int8."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import onnx
import pytest

from selfplay.inference.backend import Ranges
from selfplay.inference.graph import INPUT, Graph, int8_kernel, uint8_scale, uint8_scales
from selfplay.inference.model import Model, Outputs, make_session
from selfplay.inference.onnx_inference import agreement, measure_ranges, serialise
from selfplay.settings.sections import NetworkConfig
from tests.inference.networks import boards, host, lively_weights, network_for

SMALL: dict[str, Any] = {"blocks": 2, "channels": 8}
CONFIGS = {
    "pooling": NetworkConfig(**SMALL),
    "plain": NetworkConfig(**SMALL, global_pooling=False),
    "squeeze and excitation": NetworkConfig(**SMALL, squeeze_excitation=True),
    "bottleneck": NetworkConfig(**SMALL, block="bottleneck"),
    "nested, gated, layer norm": NetworkConfig(
        **SMALL, block="nested", squeeze_excitation=True, norm="layer"
    ),
    "groups": NetworkConfig(**SMALL, block="bottleneck", groups=2),
    "attention in the second block": NetworkConfig(blocks=2, channels=32, attention_every=2),
    "layer norm, scalar value": NetworkConfig(**SMALL, norm="layer", value_head="scalar"),
    "perceptron": NetworkConfig(**SMALL, kind="mlp"),
    "perceptron with layer norm": NetworkConfig(**SMALL, kind="mlp", norm="layer"),
}
CONVOLUTIONAL = [name for name, config in CONFIGS.items() if config.kind != "mlp"]


def everything(count: int) -> np.ndarray:
    return np.ones(count, np.bool_)


def every_action(count: int, actions: int = 7) -> np.ndarray:
    return np.ones((count, actions), np.bool_)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_float_graph_is_the_flax_module(name: str) -> None:
    network = network_for(CONFIGS[name])
    weights = lively_weights(network)
    observations = boards(network, 16)
    expected = network.apply(weights, jnp.asarray(observations))
    found = Model(serialise(network, CONFIGS[name], host(weights), None))(
        observations, everything(16), every_action(16)
    )
    np.testing.assert_allclose(found.policy_logits, expected.policy_logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.value_logits, expected.value_logits, rtol=1e-4, atol=1e-4)


def test_attention_stays_within_its_row() -> None:
    """What is remembered must be, bit for bit, what another batch would compute."""
    config = CONFIGS["attention in the second block"]
    network = network_for(config)
    model = serialise(network, config, host(lively_weights(network)), None)
    observations = boards(network, 16)
    together = Model(model)(observations, everything(16), every_action(16))
    few = Model(model)(observations[5:8], everything(3), every_action(3))
    np.testing.assert_array_equal(few.policy_logits, together.policy_logits[5:8])
    np.testing.assert_array_equal(few.value_logits, together.value_logits[5:8])


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_the_int8_graph_is_close(name: str) -> None:
    network = network_for(CONFIGS[name])
    weights = host(lively_weights(network))
    ranges = measure_ranges(network, CONFIGS[name], weights, boards(network, 256))
    others = boards(network, 128, seed=1)
    exact, rounded, zeroed = (
        Model(serialise(network, CONFIGS[name], chosen, used))(
            others, everything(128), every_action(128)
        )
        for chosen, used in (
            (weights, None),
            (weights, ranges),
            ({key: 0 * leaf for key, leaf in weights.items()}, None),
        )
    )
    assert not np.array_equal(exact.policy_logits, rounded.policy_logits)
    # The logits of these random weights are large: compare with their own spread.
    spread = exact.policy_logits.std()
    assert np.abs(exact.policy_logits - rounded.policy_logits).mean() < 0.05 * spread
    close = agreement(exact, rounded, every_action(128))
    assert close.same_move > 0.9
    assert close.value_error < 0.05
    assert close.good
    assert not agreement(exact, zeroed, every_action(128)).good


def test_ranges_follow_the_order_of_the_graph() -> None:
    config = NetworkConfig(**SMALL)
    network = network_for(config)
    weights = host(lively_weights(network))
    observations = boards(network, 64)
    ranges = measure_ranges(network, config, weights, observations)
    # The first tensor is the observation itself, zeros and ones.
    np.testing.assert_array_equal(ranges[0], [0, 1])
    # One of what goes in, one of what comes out; of the last of a block one for each channel.
    stem, heads = 2, 4
    block = 3 + config.channels
    assert ranges.shape == (stem + config.blocks * block + heads, 2)
    assert (ranges[:, 0] <= ranges[:, 1]).all()
    # The heads' results pass a ReLU: what is below zero does not matter.
    np.testing.assert_array_equal(ranges[[-3, -1], 0], 0)


def test_a_range_for_each_channel_keeps_the_small_ones() -> None:
    """With one range for all, a channel a thousand times smaller would be rounded away."""
    generator = np.random.default_rng(0)
    sizes = np.array([1.0, 1e-3, 1e-1], np.float32)
    weights = {
        "layer/kernel": generator.standard_normal((3, 3, 2, 3)).astype(np.float32) * sizes,
        "layer/bias": generator.standard_normal(3).astype(np.float32) * sizes,
    }
    board = generator.random((16, 2, 5, 5), np.float32)

    def run(channelwise: bool, ranges: Ranges | None) -> np.ndarray:
        graph = Graph(weights, ranges)
        result = graph.conv(INPUT, "layer", channelwise=channelwise)
        session = make_session(graph.serialise((2, 5, 5), [result]))
        found: np.ndarray = session.run(None, {INPUT: board})[0]
        return found

    exact = run(False, None)
    into, out = np.array([[0, 1]], np.float32), (exact.min((0, 2, 3)), exact.max((0, 2, 3)))
    for channelwise, small_error in ((True, (0, 0.02)), (False, (0.5, 2))):
        of_all = np.array([[exact.min(), exact.max()]], np.float32)
        ranges = np.concatenate([into, np.stack(out, axis=1) if channelwise else of_all])
        rounded = run(channelwise, ranges)
        error = np.abs(rounded - exact).mean(axis=(0, 2, 3)) / np.abs(exact).mean(axis=(0, 2, 3))
        assert error[0] < 0.02
        assert small_error[0] <= error[1] <= small_error[1]


def test_one_zero_point_for_all_channels_and_a_scale_for_each() -> None:
    low, high = np.array([-1, 0, -6, 0], np.float32), np.array([3, 1, 2, 0], np.float32)
    scales, zero = uint8_scales(low, high)
    # Everything can be said, and nothing with larger steps than needed.
    assert (scales * (255 - float(zero)) >= high - 1e-6).all()
    assert (-scales * float(zero) <= low + 1e-6).all()
    for other in range(1, 255):
        needed = np.maximum(high / (255 - other), -low / other)
        assert (scales**2).sum() <= (needed**2).sum() + 1e-9
    assert uint8_scales(*np.array([[0.0], [5.0]], np.float32))[1] == 0


def test_nothing_is_computed_that_nobody_asks_for() -> None:
    config = NetworkConfig(**SMALL)
    network = network_for(config)
    weights = host(lively_weights(network))
    ranges = measure_ranges(network, config, weights, boards(network, 64))
    for used in (None, ranges):
        model = onnx.load_from_string(serialise(network, config, weights, used))
        # These only say what ranges are measured on.
        assert not {"Neg", "Min", "Max"} & {node.op_type for node in model.graph.node}


def test_uint8_covers_the_range_and_keeps_zero() -> None:
    for low, high in ((-1.0, 3.0), (0.5, 2.0), (-2.0, -1.0), (0.0, 0.0)):
        scale, zero = uint8_scale(np.float32(low), np.float32(high))
        for value in (0.0, low, high):
            rounded = np.clip(np.rint(value / scale) + zero, 0, 255)
            assert abs((rounded - float(zero)) * scale - value) <= scale / 2 + 1e-6
        assert (float(zero) - float(zero)) * scale == 0


def test_kernels_have_a_scale_for_each_output_channel() -> None:
    kernel = np.stack([np.full((2, 3, 3), value, np.float32) for value in (1e-3, 10.0, 0.0)])
    integers, scales = int8_kernel(kernel)
    np.testing.assert_array_equal(integers[:2], 127)
    np.testing.assert_allclose(integers * scales[:, None, None, None], kernel, rtol=1e-5)


def test_agreement_measures_policy_and_value() -> None:
    even = Outputs(np.zeros((2, 2), np.float32), np.zeros((2, 3), np.float32))
    tilted = Outputs(
        np.array([[0, np.log(3)], [0, 0]], np.float32),
        np.array([[50, 0, 0], [0, 0, 0]], np.float32),
    )
    found = agreement(even, tilted, every_action(2, 2))
    # Even odds against one to three: half of log(4/3) nats, in one position of two.
    assert found.policy_divergence == pytest.approx(0.25 * np.log(4 / 3), abs=1e-5)
    assert found.same_move == 0.5
    assert found.value_error == pytest.approx(0.5, abs=1e-5)
    assert str(found).endswith("(2 positions)")


def test_agreement_is_about_legal_actions_alone() -> None:
    value = np.zeros((2, 1), np.float32)
    exact = Outputs(np.array([[0, 0, 9], [5, 1, 2]], np.float32), value)
    rounded = Outputs(np.array([[0, 0, -9], [-5, 1, 2]], np.float32), value)
    legal = np.array([[True, True, False], [False, True, True]])
    found = agreement(exact, rounded, legal)
    assert found.policy_divergence == pytest.approx(0.0, abs=1e-6)
    assert found.same_move == 1.0
    everywhere = agreement(exact, rounded, every_action(2, 3))
    assert everywhere.policy_divergence > 1
    assert everywhere.same_move == 0.0
    # What is legal counts as before.
    tilted = Outputs(np.array([[0, np.log(3), 0], [0, 0, 0]], np.float32), value)
    even = Outputs(np.zeros((2, 3), np.float32), value)
    half = 0.5 * 0.5 * np.log(4 / 3)
    assert agreement(even, tilted, legal).policy_divergence == pytest.approx(half, abs=1e-5)
