"""Comparisons of states and observations in compiled code."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int8, PyTree

_TOLERANCE = 1e-5

LARGEST_SLOT_ARRAY = 8
"""Fields of at most so many numbers may hold counters and who is to move, each number by itself."""

Counters = Sequence[tuple[int, int]]
"""Numbers of a state that only count, as leaf and element."""

Movers = Sequence[tuple[int, int, int]]
"""Numbers of a state that only say who is to move: leaf, element, and bits (0 for all of it)."""


def changes_only_the_turn(
    movers: Movers, counters: Counters, state: PyTree, after_state: PyTree
) -> Bool[Array, ""]:
    """Returns whether a move changed nothing but who is to move, and counters by one."""
    quiet = []
    pairs = zip(jax.tree.leaves(state), jax.tree.leaves(after_state), strict=True)
    for index, (old, new) in enumerate(pairs):
        old, new = old.reshape(-1), new.reshape(-1)
        kept = new == old
        for leaf, element in counters:
            if leaf == index:
                kept = kept | ((jnp.arange(old.size) == element) & (new == old + 1))
        for leaf, element, bits in movers:
            if leaf == index:
                kept = kept | ((jnp.arange(old.size) == element) & _differ_in(old, new, bits))
        quiet.append(kept.all())
    return jnp.stack(quiet).all()


def _differ_in(old: Array, new: Array, bits: int) -> Bool[Array, " N"]:
    """Returns where two fields differ in these bits at most; 0 stands for all bits."""
    if bits == 0:
        return jnp.ones(old.shape, bool)
    rest = jnp.array(np.int64(~bits).astype(old.dtype))
    return ((old ^ new) & rest) == 0


def changed_contents(before: PyTree, after: PyTree) -> Int8[Array, " F"]:
    """Returns for each field 0 if it is as before, 1 if its contents moved, 2 if they are others.

    The contents of a large field are its numbers, wherever they stand; those of a small one are
    its bits.
    """
    found = []
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        others = _contents(new) != _contents(old)
        found.append(jnp.where((new == old).all(), 0, jnp.where(others, 2, 1)).astype(jnp.int8))
    return jnp.stack(found)


def _contents(leaf: Array) -> Array:
    """Returns a number that stays if the contents of a field change places alone."""
    if leaf.dtype == jnp.bool_:
        return leaf.sum(dtype=jnp.uint32)
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        words = jax.lax.bitcast_convert_type(leaf.astype(jnp.float32), jnp.uint32)
    elif leaf.size <= LARGEST_SLOT_ARRAY:
        return jax.lax.population_count(leaf).astype(jnp.uint32).sum(dtype=jnp.uint32)
    else:
        words = leaf.astype(jnp.uint32)
    # Equal numbers give equal terms, and different ones hardly ever the same sum.
    words = (words ^ (words >> 15)) * jnp.uint32(0x2C1B3C6D)
    words = (words ^ (words >> 12)) * jnp.uint32(0x297A2D39)
    return (words ^ (words >> 15)).sum(dtype=jnp.uint32)


def same(left: PyTree, right: PyTree) -> Bool[Array, ""]:
    """Returns whether two states are equal; floats to within rounding."""
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return jnp.stack([close(one, other) for one, other in pairs]).all()


def close(left: Array, right: Array) -> Bool[Array, ""]:
    """Returns whether two arrays are equal; floats to within rounding, and NaN equals NaN."""
    if jnp.issubdtype(left.dtype, jnp.inexact):
        near = jnp.abs(left - right) <= _TOLERANCE * (1 + jnp.abs(left))
        return (near | (left == right) | (jnp.isnan(left) & jnp.isnan(right))).all()
    return (left == right).all()


def close_but(seats: Bool[Array, "..."], left: Array, right: Array) -> Bool[Array, ""]:
    """Returns whether two observations are equal where `seats` is False."""
    return close(jnp.where(seats, 0, left), jnp.where(seats, 0, right))


def has_nan(leaf: Array) -> Bool[Array, ""]:
    """Returns whether an array holds NaN."""
    # Infinity may be a sentinel of the game's own; NaN is equal to nothing, not even itself.
    if jnp.issubdtype(leaf.dtype, jnp.inexact):
        return jnp.isnan(leaf).any()
    return jnp.bool_(False)
