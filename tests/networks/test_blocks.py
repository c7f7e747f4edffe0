"""The blocks of the tower: what each of them lets through, and what a fresh one does."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from jaxtyping import Array

from selfplay.errors import ConfigError
from selfplay.networks import attention_heads, build_network, cell_offsets, is_transformer
from selfplay.networks.blocks import make_block
from selfplay.registry import make
from selfplay.runtime.memory_plan import board_bytes
from selfplay.settings.sections import NetworkConfig

SIZE = (3, 4)


def through(config: NetworkConfig, board: Array, *, shake: float) -> np.ndarray:
    """Returns what a block makes of a board; its weights are random by so much."""

    def compute(board: Array) -> Array:
        block = make_block(dataclasses.replace(config, dtype="float32"), 0, SIZE, rngs=nnx.Rngs(0))
        graphdef, state = nnx.split(block)
        leaves, tree = jax.tree.flatten(state)
        keys = jax.random.split(jax.random.key(1), len(leaves))
        shaken = [
            leaf + shake * jax.random.normal(key, leaf.shape)
            for key, leaf in zip(keys, leaves, strict=True)
        ]
        found: Array = nnx.merge(graphdef, jax.tree.unflatten(tree, shaken))(board)
        return found

    return np.asarray(jax.jit(compute)(board))


def board(channels: int) -> Array:
    return jax.random.normal(jax.random.key(3), (2, *SIZE, channels))


@pytest.mark.parametrize("block", ["basic", "bottleneck", "nested", "transformer"])
def test_a_fresh_block_changes_nothing(block: str) -> None:
    config = NetworkConfig(channels=8, block=block, norm="layer", squeeze_excitation=True)
    found = through(config, board(8), shake=0.0)
    np.testing.assert_array_equal(found, board(8))


@pytest.mark.parametrize(("block", "far"), [("basic", False), ("transformer", True)])
def test_attention_alone_sees_cells_that_are_far_away(block: str, far: bool) -> None:
    config = NetworkConfig(channels=8, block=block, global_pooling=False)
    # In one channel alone: the same in all of them is what a normalisation takes away.
    changed = board(8).at[:, 0, 0, 0].add(2.0)
    difference = through(config, changed, shake=0.3) - through(config, board(8), shake=0.3)
    assert np.abs(difference[:, 0, 1]).max() > 1e-3
    assert (np.abs(difference[:, 2, 3]).max() > 1e-3) == far


def test_groups_do_not_see_each_other() -> None:
    config = NetworkConfig(channels=8, groups=2, global_pooling=False)
    changed = board(8).at[..., 0].add(1.0)
    difference = through(config, changed, shake=0.3) - through(config, board(8), shake=0.3)
    assert np.abs(difference[..., 1:4]).max() > 1e-3
    np.testing.assert_array_equal(difference[..., 4:], 0)


def test_groups_must_divide_the_channels() -> None:
    with pytest.raises(ConfigError, match=r"groups is 3, but must divide the 8 channels") as error:
        NetworkConfig(channels=16, block="nested", groups=3)
    assert error.value.hint


def test_every_nth_block_is_a_transformer() -> None:
    mixed = NetworkConfig(blocks=5, attention_every=2)
    assert [is_transformer(mixed, index) for index in range(5)] == [False, True] * 2 + [False]
    assert is_transformer(NetworkConfig(block="transformer"), 0)
    assert not is_transformer(NetworkConfig(), 0)


def test_each_distance_on_the_board_has_a_number() -> None:
    offsets = np.array(cell_offsets(*SIZE))
    cells = [(row, column) for row in range(SIZE[0]) for column in range(SIZE[1])]
    numbers: dict[tuple[int, int], set[int]] = {}
    for one, (row, column) in enumerate(cells):
        for other, (another_row, another_column) in enumerate(cells):
            distance = row - another_row, column - another_column
            numbers.setdefault(distance, set()).add(int(offsets[one, other]))
    assert all(len(found) == 1 for found in numbers.values())
    assert sorted(min(found) for found in numbers.values()) == list(range(5 * 7))


@pytest.mark.parametrize(("channels", "heads"), [(8, 1), (32, 2), (48, 3), (50, 2), (53, 1)])
def test_heads_share_the_channels_evenly(channels: int, heads: int) -> None:
    assert attention_heads(channels) == heads


def test_the_memory_plan_counts_pairs_of_cells() -> None:
    game: Any = make("go", size=9)
    plain, attentive = NetworkConfig(channels=32), NetworkConfig(channels=32, attention_every=4)
    assert board_bytes(build_network(game, plain), plain) == 4 * 81 * 32
    # Two heads, each with a share for every cell of every cell.
    assert board_bytes(build_network(game, attentive), attentive) == 4 * 81 * 2 * 81
