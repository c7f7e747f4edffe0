"""Sets of cells in words, against Python's sets."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.game import bitboards


def random_sets(num_cells, seed):
    draw = random.Random(seed)
    return [{cell for cell in range(num_cells) if draw.random() < 0.4} for _ in range(2)]


def encoded(cells, num_cells):
    return bitboards.from_number(sum(1 << cell for cell in cells), num_cells)


def decoded(cells):
    number = bitboards.to_number([int(word) for word in cells])
    return {cell for cell in range(number.bit_length()) if number >> cell & 1}


@pytest.mark.parametrize("num_cells", [1, 31, 32, 33, 64, 100])
def test_operations_are_those_of_sets(num_cells):
    left, right = random_sets(num_cells, num_cells)
    one, two = encoded(left, num_cells), encoded(right, num_cells)
    assert decoded(one) == left
    assert decoded(bitboards.both(one, two)) == left & right
    assert decoded(bitboards.either(one, two)) == left | right
    assert decoded(bitboards.without(one, two)) == left - right
    assert decoded(bitboards.choose(jnp.bool_(False), one, two)) == right
    assert bool(bitboards.is_any(one)) == bool(left)
    assert not bool(bitboards.is_any(encoded(set(), num_cells)))


@pytest.mark.parametrize("by", [1, -1, 8, -9, 31, -31])
def test_a_shift_moves_every_cell(by):
    (cells, _), words = random_sets(96, 3), 3
    moved = decoded(bitboards.shift(encoded(cells, 96), by))
    assert moved == {cell + by for cell in cells if 0 <= cell + by < 32 * words}


def test_a_grid_is_packed_row_by_row():
    grid = np.random.default_rng(0).random((7, 9)) < 0.5
    assert decoded(bitboards.pack(jnp.array(grid))) == set(np.flatnonzero(grid).tolist())


def test_a_single_cell_may_come_from_a_compiled_program():
    words = jax.vmap(lambda cell: bitboards.single(cell, 2))(jnp.arange(64))
    numbers = [bitboards.to_number(row) for row in zip(*(w.tolist() for w in words), strict=True)]
    assert numbers == [1 << cell for cell in range(64)]
