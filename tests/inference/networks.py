"""Networks with weights that all matter, for the tests of inference."""

import jax
import numpy as np
import numpy.typing as npt

from selfplay.networks import Network, Weights, build_network
from selfplay.registry import make
from selfplay.settings.sections import NetworkConfig


def network_for(config: NetworkConfig, game: str = "connect_four") -> Network:
    """Returns the network of a bundled game."""
    return build_network(make(game), config)


def lively_weights(network: Network, *, seed: int = 0) -> Weights:
    """Returns fresh weights in which nothing is 0, as it is at the start of training."""
    generator = np.random.default_rng(seed)
    fresh = network.init(key=jax.random.key(seed))
    return {
        name: jax.numpy.asarray(
            np.asarray(leaf) + 0.1 * generator.standard_normal(leaf.shape), np.float32
        )
        for name, leaf in fresh.items()
    }


def boards(network: Network, count: int, *, seed: int = 0) -> npt.NDArray[np.float32]:
    """Returns observations of zeros and ones."""
    generator = np.random.default_rng(seed)
    return (generator.random((count, *network.observation_shape)) < 0.3).astype(np.float32)


def host(weights: Weights) -> dict[str, npt.NDArray[np.float32]]:
    """Returns weights as NumPy arrays."""
    return {name: np.asarray(leaf) for name, leaf in weights.items()}
