"""A search tree whose nodes keep only some of their actions, and little about each.

`mctx.Tree` stores six numbers for every action of every node, 24 bytes. Here the numbers of a child
lie in the child itself, and its parent stores where it is and the logit of the move there. Where a
node keeps `K` actions of many, their numbers are stored too.
"""

from typing import Any

import jax
import jax.numpy as jnp
import mctx
from jaxtyping import Array, Bool, Float32, Int, Int32, PyTree

from selfplay.game import pytree
from selfplay.mcts.bounds import HIGHEST, LOWEST, Bounds, dominated, seen_by_parent
from selfplay.mcts.selection import ILLEGAL_LOGIT, SearchNoise, is_legal_logit
from selfplay.mcts.tree import SearchTree

UNVISITED = -1
ROOT = 0


@pytree
class CompactTree:
    """The trees of `B` searches of `N` simulations; `M` is N + 1. Node 0 is the root.

    Attributes:
        parents: of each node; -1 for the root and for unused nodes.
        slots: place of the move that led to it among those that its parent keeps.
        visits: simulations through it, and the evaluation of the root.
        values: mean over these, between its bounds, for the player to move there.
        raw_values: the evaluator's own.
        rewards: of the move that led to it, for the player who moved.
        discounts: of that move, in {-1, 0, 1}.
        bounds: of its value [B, M], for the player to move there.
        over: whether the match has ended there.
        children: the node behind each kept action, -1 if there is none yet.
        logits: of each kept action, see `selfplay.mcts.selection.mask_logits`.
        actions: the kept actions; None where all are kept.
        left_out: whether legal actions were left out; None where all are kept.
        positions: leaves [B, M, ...].
        root_bounds: of the kept actions of the root [B, K], before any of them is visited.
    """

    parents: Int32[Array, "B M"]
    slots: Int32[Array, "B M"]
    visits: Int32[Array, "B M"]
    values: Float32[Array, "B M"]
    raw_values: Float32[Array, "B M"]
    rewards: Float32[Array, "B M"]
    discounts: Float32[Array, "B M"]
    bounds: Bounds
    over: Bool[Array, "B M"]
    children: Int[Array, "B M K"]
    logits: Float32[Array, "B M K"]
    actions: Int[Array, "B M K"] | None
    left_out: Bool[Array, "B M"] | None
    positions: PyTree
    root_bounds: Bounds


@pytree
class Children:
    """The kept actions of one node of each of `B` trees, for the player to move there.

    Attributes:
        legal: whether there is such an action.
        logits: of the prior.
        visits: simulations through it.
        qvalues: its value in [-1, 1]; 0 if unvisited.
        bounds: of its value, [B, K].
    """

    legal: Bool[Array, "B K"]
    logits: Float32[Array, "B K"]
    visits: Int32[Array, "B K"]
    qvalues: Float32[Array, "B K"]
    bounds: Bounds


def empty_tree(
    root: Any,
    num_simulations: int,
    kept: int,
    ranking: Float32[Array, "B A"],
    root_bounds: Bounds,
) -> CompactTree:
    """Returns `B` trees that hold their roots alone.

    Args:
        root: prior logits, values and positions of the roots, an `mctx.RootFnOutput`.
        num_simulations: nodes that will be added.
        kept: actions that a node keeps, at most as many as there are.
        ranking: the root keeps the actions that are highest here.
        root_bounds: what is certain of the root's actions, [B, A].
    """
    batch = root.prior_logits.shape[0]
    nodes, edges = (batch, num_simulations + 1), (batch, num_simulations + 1, kept)
    logits, actions, left_out = keep_likeliest(root.prior_logits, kept, ranking)
    if actions is not None:
        root_bounds = jax.tree.map(
            lambda bound: jnp.take_along_axis(bound, actions.astype(jnp.int32), axis=1), root_bounds
        )

    def with_root(shape: tuple[int, ...], empty: Any, first: Array) -> Array:
        return jnp.full(shape, empty, first.dtype).at[:, ROOT].set(first)

    values = with_root(nodes, 0, root.value)
    return CompactTree(
        parents=jnp.full(nodes, UNVISITED, jnp.int32),
        slots=jnp.zeros(nodes, jnp.int32),
        visits=with_root(nodes, 0, jnp.ones(batch, jnp.int32)),
        values=values,
        raw_values=values,
        rewards=jnp.zeros(nodes, jnp.float32),
        discounts=jnp.zeros(nodes, jnp.float32),
        bounds=Bounds(
            lower=jnp.full(nodes, LOWEST, jnp.float32), upper=jnp.full(nodes, HIGHEST, jnp.float32)
        ),
        over=jnp.zeros(nodes, jnp.bool_),
        children=jnp.full(edges, UNVISITED, smallest_integer(num_simulations)),
        logits=with_root(edges, ILLEGAL_LOGIT, logits),
        actions=None if actions is None else with_root(edges, 0, actions),
        left_out=None if left_out is None else with_root(nodes, False, left_out),
        positions=jax.tree.map(
            lambda leaf: with_root((*nodes, *leaf.shape[1:]), 0, leaf), root.embedding
        ),
        root_bounds=root_bounds,
    )


def smallest_integer(highest: int) -> Any:
    """Returns the type of a number that is stored for every action of every node."""
    return jnp.int16 if highest < 2**15 else jnp.int32


def keep_likeliest(
    logits: Float32[Array, "B A"], kept: int, ranking: Float32[Array, "B A"] | None = None
) -> tuple[Float32[Array, "B K"], Int[Array, "B K"] | None, Bool[Array, " B"] | None]:
    """Returns the logits of the kept actions, which they are, and whether legal ones are left out.

    Where as many are kept as there are, these are the logits themselves, None and None.

    Args:
        logits: of all actions, masked.
        kept: how many to keep.
        ranking: the highest are kept; the likeliest by default.
    """
    num_actions = logits.shape[1]
    if kept >= num_actions:
        return logits, None, None
    legal = is_legal_logit(logits)
    order = jnp.where(legal, logits if ranking is None else ranking, -jnp.inf)
    actions = jax.lax.top_k(order, kept)[1]
    return (
        jnp.take_along_axis(logits, actions, axis=1),
        actions.astype(smallest_integer(num_actions)),
        legal.sum(axis=1) > kept,
    )


def children_of(tree: CompactTree, nodes: Int32[Array, " B"]) -> Children:
    """Returns the kept actions of one node of each tree."""
    rows = jnp.arange(nodes.shape[0])
    children = tree.children[rows, nodes].astype(jnp.int32)
    logits = tree.logits[rows, nodes]
    known = children != UNVISITED
    at = jnp.maximum(children, 0)

    def of_children(column: Array) -> Array:
        return jnp.take_along_axis(column, at, axis=1)

    rewards, discounts = of_children(tree.rewards), of_children(tree.discounts)
    visited = seen_by_parent(jax.tree.map(of_children, tree.bounds), rewards, discounts)
    at_root = (nodes == ROOT)[:, None]

    def bound(found: Array, at_first: Array, unknown: float) -> Array:
        return jnp.where(known, found, jnp.where(at_root, at_first, unknown))

    return Children(
        legal=is_legal_logit(logits),
        logits=logits,
        visits=jnp.where(known, of_children(tree.visits), 0),
        qvalues=jnp.where(known, rewards + discounts * of_children(tree.values), 0.0),
        bounds=Bounds(
            lower=bound(visited.lower, tree.root_bounds.lower, LOWEST),
            upper=bound(visited.upper, tree.root_bounds.upper, HIGHEST),
        ),
    )


def open_actions(children: Children, certain: Float32[Array, " B"]) -> Bool[Array, "B K"]:
    """Returns the actions of which something may still be learnt that matters."""
    settled = children.bounds.decided | dominated(children.bounds, children.legal, certain)
    return children.legal & ~settled


def as_mctx(
    children: Children,
    among: Bool[Array, "B K"],
    values: Float32[Array, " B"],
    raw_values: Float32[Array, " B"],
    noise: SearchNoise,
) -> mctx.Tree:
    """Returns `B` trees of a single node, for search algorithms, which read trees of `mctx`.

    Args:
        children: the actions of the node.
        among: the actions to choose from; the others look as illegal ones do.
        values: of the node.
        raw_values: likewise, the evaluator's own.
        noise: of the actions, [B, K].
    """

    def one(column: Array) -> Array:
        return column[:, None]

    visits = jnp.where(among, children.visits, 0)
    nothing = jnp.zeros_like(values)[:, None].astype(jnp.int32)
    return mctx.Tree(
        node_visits=one(1 + visits.sum(axis=1)),
        raw_values=one(raw_values),
        node_values=one(values),
        parents=nothing - 1,
        action_from_parent=nothing - 1,
        children_index=one(jnp.zeros_like(visits)),
        children_prior_logits=one(jnp.where(among, children.logits, ILLEGAL_LOGIT)),
        children_values=one(children.qvalues),
        children_visits=one(visits),
        children_rewards=one(jnp.zeros_like(children.qvalues)),
        children_discounts=one(jnp.ones_like(children.qvalues)),
        embeddings=None,
        root_invalid_actions=~among,
        extra_data=noise,
    )


def of_all_actions(tree: CompactTree, num_actions: int, legal: Bool[Array, "B A"]) -> Children:
    """Returns the root's actions as if all were kept; nothing is known of those that are not."""
    batch = legal.shape[0]
    found = children_of(tree, jnp.zeros(batch, jnp.int32))
    if tree.actions is None:
        return found
    rows = jnp.arange(batch)[:, None]
    actions = tree.actions[:, ROOT].astype(jnp.int32)

    def spread(column: Array, elsewhere: Any) -> Array:
        full = jnp.full((batch, num_actions), elsewhere, column.dtype)
        return full.at[rows, actions].set(column)

    return Children(
        legal=legal,
        logits=spread(found.logits, ILLEGAL_LOGIT),
        visits=spread(found.visits, 0),
        qvalues=spread(found.qvalues, 0.0),
        bounds=Bounds(
            lower=spread(found.bounds.lower, LOWEST), upper=spread(found.bounds.upper, HIGHEST)
        ),
    )


def describe_compact_tree(tree: CompactTree) -> SearchTree:
    """Returns what there is to show of the trees."""
    rows = jnp.arange(tree.parents.shape[0])[:, None]
    below = tree.parents != UNVISITED
    parents = jnp.where(below, tree.parents, ROOT)
    priors = jax.nn.softmax(tree.logits)[rows, parents, tree.slots]
    actions = (
        tree.slots
        if tree.actions is None
        else tree.actions[rows, parents, tree.slots].astype(jnp.int32)
    )
    used = below.at[:, ROOT].set(True)
    return SearchTree(
        parents=tree.parents,
        actions=jnp.where(below, actions, -1),
        outcomes=jnp.full_like(tree.parents, -1),
        visits=jnp.where(used, tree.visits, 0),
        values=jnp.where(
            below, jnp.clip(tree.rewards + tree.discounts * tree.values, -1.0, 1.0), 0.0
        ),
        priors=jnp.where(below, priors, 0.0),
    )
