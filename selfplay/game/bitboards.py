"""Sets of cells as bits in words of 32, for the rules of games on large boards.

A set is a tuple of scalars, 32 cells to each, cell 0 in the lowest bit of the first. There is no
board axis: every operation is then one vector instruction over the batch, and nothing moves.
Where a board has rows, cells are numbered row by row.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, UInt32

WORD = 32
"""Cells to a word."""

Cells = tuple[UInt32[Array, ""], ...]


def from_number(number: int, num_cells: int) -> Cells:
    """Returns the set whose bits are those of a Python integer: a constant of the rules.

    >>> [int(word) for word in from_number(1 << 33, 40)]
    [0, 2]
    """
    words = -(-num_cells // WORD)
    return tuple(jnp.uint32(number >> WORD * word & (1 << WORD) - 1) for word in range(words))


def to_number(words: Sequence[int]) -> int:
    """Returns the Python integer with the bits of a set, on the host.

    >>> to_number([0, 2]) == 1 << 33
    True
    """
    return sum(word << WORD * index for index, word in enumerate(words))


def pack(grid: Bool[Array, "..."]) -> UInt32[Array, " words"]:
    """Returns an array of cells, of any shape, as bits; `tuple` makes a set of it."""
    cells = grid.reshape(-1)
    bits = jnp.pad(cells, (0, -cells.size % WORD)).reshape(-1, WORD).astype(jnp.uint32)
    return (bits << jnp.arange(WORD, dtype=jnp.uint32)[None]).sum(axis=1, dtype=jnp.uint32)


def single(cell: Array, words: int) -> Cells:
    """Returns the set of one cell, which need not be known before the match."""
    bit = jnp.uint32(1) << (cell % WORD).astype(jnp.uint32)
    return tuple(jnp.where(cell // WORD == word, bit, jnp.uint32(0)) for word in range(words))


def shift(cells: Cells, by: int) -> Cells:
    """Returns the set with every cell `by` places further on, or back if it is negative.

    Cells that leave one row enter the next: take them out before.

    >>> [int(word) for word in shift(from_number(1 << 31, 40), 2)]
    [0, 2]
    """
    # The bits that leave one word enter the next.
    if by > 0:
        carried = (jnp.uint32(0), *(word >> WORD - by for word in cells[:-1]))
        return tuple(word << by | carry for word, carry in zip(cells, carried, strict=True))
    carried = (*(word << WORD + by for word in cells[1:]), jnp.uint32(0))
    return tuple(word >> -by | carry for word, carry in zip(cells, carried, strict=True))


def both(left: Cells, right: Cells) -> Cells:
    """Returns the cells that are in both sets."""
    return tuple(a & b for a, b in zip(left, right, strict=True))


def either(left: Cells, right: Cells) -> Cells:
    """Returns the cells that are in one of the sets, or in both."""
    return tuple(a | b for a, b in zip(left, right, strict=True))


def without(left: Cells, right: Cells) -> Cells:
    """Returns the cells that are in the first set and not in the second."""
    return tuple(a & ~b for a, b in zip(left, right, strict=True))


def choose(condition: Bool[Array, ""], yes: Cells, no: Cells) -> Cells:
    """Returns the first set if `condition` holds, else the second."""
    return tuple(jnp.where(condition, a, b) for a, b in zip(yes, no, strict=True))


def is_any(cells: Cells) -> Bool[Array, ""]:
    """Returns whether the set has a cell."""
    # Not a chain of `|`: a reduction ends XLA's fusion, which otherwise computes `cells` once for
    # every use of the answer (measured on a CPU: half the time per ply).
    return jnp.stack(cells).any()
