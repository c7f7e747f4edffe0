"""Tree reuse: what an earlier search knows of a position becomes the beginning of its tree.

The moves played since need not be known: positions are compared, bit for bit.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32

from selfplay.game import Position, pytree
from selfplay.mcts.bounds import Bounds
from selfplay.mcts.compact_tree import ROOT, UNVISITED, CompactTree


@pytree
class Begun:
    """Trees of `B` searches that have begun, and what of them is not new.

    Attributes:
        tree: the trees.
        nodes: used ones of each, without gaps from 0 on.
    """

    tree: CompactTree
    nodes: Int32[Array, " B"]


def begin_with(
    earlier: CompactTree, fresh: CompactTree, positions: Position[Any], ahead: Bounds
) -> Begun:
    """Returns the part of `earlier` trees below each position, or the fresh tree if there is none.

    Args:
        earlier: trees of `B` searches as large as the new ones, any row of which may know a
            position; all zeros know none.
        fresh: trees that hold the new roots alone.
        positions: the new roots.
        ahead: what is certain of their actions, [B, A].
    """
    batch, size = earlier.visits.shape
    used = (earlier.visits > 0) & ~earlier.over
    # A node that only waited for other searches belongs to no tree.
    used &= (earlier.parents != UNVISITED).at[:, ROOT].set(True)

    def where_known(position: Position[Any]) -> Int32[Array, ""]:
        """Returns the most visited node that is this position, counted over all trees, or -1."""
        same = used
        for held, wanted in zip(
            jax.tree.leaves(earlier.positions), jax.tree.leaves(position), strict=True
        ):
            same &= (held == wanted[None, None]).reshape(batch, size, -1).all(axis=2)
        best = jnp.argmax(jnp.where(same, earlier.visits, 0))
        return jnp.where(same.any(), best, -1).astype(jnp.int32)

    # One by one: all at once would take as much memory as all trees for each position.
    place = jax.lax.map(where_known, positions)
    found, at = place >= 0, jnp.maximum(place, 0)
    below = _below(jax.tree.map(lambda leaf: leaf[at // size], earlier), at % size)

    def chosen(old: Array, new: Array) -> Array:
        return jnp.where(found.reshape(-1, *[1] * (new.ndim - 1)), old, new)

    tree: CompactTree = jax.tree.map(chosen, below.tree, fresh)
    if tree.actions is not None:
        kept = tree.actions[:, ROOT].astype(jnp.int32)
        ahead = jax.tree.map(lambda bound: jnp.take_along_axis(bound, kept, axis=1), ahead)
    return Begun(
        tree=dataclasses.replace(tree, root_bounds=ahead), nodes=jnp.where(found, below.nodes, 1)
    )


def _below(tree: CompactTree, tops: Int32[Array, " B"]) -> Begun:
    """Returns the part of each tree below a node, which becomes node 0; the rest stays in order.

    A parent still has a lower number than its children.
    """
    batch, size = tree.visits.shape
    rows = jnp.arange(batch)[:, None]
    numbers, top = jnp.arange(size, dtype=jnp.int32)[None], tops[:, None]
    # Every node looks twice as far up each time, until it sees `top` or the end.
    above = jnp.where((numbers == top) | (tree.parents == UNVISITED), numbers, tree.parents)
    for _ in range(max(1, math.ceil(math.log2(size)))):
        above = jnp.take_along_axis(above, above, axis=1)
    inside = above == top
    count = inside.sum(axis=1).astype(jnp.int32)
    order = jnp.argsort(~inside, axis=1, stable=True)
    renamed = (jnp.cumsum(inside, axis=1) - 1).astype(jnp.int32)
    there = numbers < count[:, None]

    def called_now(nodes: Array) -> Array:
        """Returns the new numbers of old nodes [B, ...], of which -1 stands for none."""
        found = jnp.take_along_axis(renamed, nodes.reshape(batch, -1).astype(jnp.int32), axis=1)
        return jnp.where(nodes == UNVISITED, UNVISITED, found.reshape(nodes.shape))

    # The bounds of the root's actions are no column of nodes.
    columns = dataclasses.replace(tree, root_bounds=tree.bounds)
    moved: CompactTree = jax.tree.map(lambda leaf: leaf[rows, order], columns)
    children = jnp.where(there[:, :, None], called_now(moved.children), UNVISITED)
    return Begun(
        tree=dataclasses.replace(
            moved,
            parents=jnp.where(there & (numbers > ROOT), called_now(moved.parents), UNVISITED),
            visits=jnp.where(there, moved.visits, 0),
            children=children.astype(tree.children.dtype),
            root_bounds=tree.root_bounds,
        ),
        nodes=count,
    )
