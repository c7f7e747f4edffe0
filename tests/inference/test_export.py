"""Networks in files for other programs say what they say here."""

import dataclasses

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from jax import export

from selfplay.inference.export import PLATFORMS, to_onnx, to_stablehlo
from selfplay.settings.sections import NetworkConfig
from tests.inference.networks import boards, lively_weights, network_for

SMALL = NetworkConfig(blocks=1, channels=8)
CONFIGS = {
    "tower": SMALL,
    "scalar": dataclasses.replace(SMALL, value_head="scalar"),
    "mlp": dataclasses.replace(SMALL, kind="mlp"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_both_files_say_what_the_network_says(name: str) -> None:
    config = CONFIGS[name]
    network = network_for(config)
    weights = lively_weights(network)
    facts = {"game": "connect_four", "update": "12"}
    model = to_onnx(network, config, weights, facts=facts)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == facts
    stablehlo = export.deserialize(bytearray(to_stablehlo(network, weights)))
    assert stablehlo.platforms == PLATFORMS
    for count in (1, 5):
        observations = boards(network, count, seed=count)
        prediction = network.apply(weights, jax.numpy.asarray(observations))
        expected = [prediction.policy_logits, prediction.value]
        assert np.ptp(expected[0]) > 0.1 and np.abs(expected[1]).max() > 0.01
        outputs = session.run(["policy_logits", "value"], {"observations": observations})
        for wanted, found, same in zip(
            expected, outputs, stablehlo.call(observations), strict=True
        ):
            np.testing.assert_allclose(found, wanted, atol=1e-4)
            np.testing.assert_allclose(same, wanted, atol=1e-5)


def test_a_file_holds_the_weights_once() -> None:
    network = network_for(SMALL)
    weights = lively_weights(network)
    bare = 4 * sum(leaf.size for leaf in jax.tree.leaves(weights))
    assert bare <= len(to_onnx(network, SMALL, weights, facts={})) < 1.2 * bare
