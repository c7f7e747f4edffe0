"""The tree that a search leaves behind, node by node, for those who show it."""

import jax
import jax.numpy as jnp
import mctx
from jaxtyping import Array, Float32, Int32

from selfplay.game import pytree
from selfplay.mcts.chance_tree import Arrivals


@pytree
class SearchTree:
    """The nodes of `B` searches of `N` simulations; `M` is N + 1. Node 0 is the root.

    A parent has a lower number than its children. In a game of chance an action may lead to
    several nodes, one for each outcome that came up.

    Attributes:
        parents: the node that each was reached from; -1 for the root and for unused nodes.
        actions: the action that led to it; -1 likewise.
        outcomes: the chance outcome that followed that action, -1 for none.
        visits: simulations through the node; 0 for unused ones.
        values: what moving there is worth, in [-1, 1], for the player who moved; 0 at the root.
        priors: probability of that action before the search, in [0, 1]; 0 at the root.
    """

    parents: Int32[Array, "B M"]
    actions: Int32[Array, "B M"]
    outcomes: Int32[Array, "B M"]
    visits: Int32[Array, "B M"]
    values: Float32[Array, "B M"]
    priors: Float32[Array, "B M"]


def bare_tree(batch: int) -> SearchTree:
    """Returns the trees of `batch` searches without simulations: nothing but roots."""
    nothing = jnp.full((batch, 1), -1, jnp.int32)
    zero = jnp.zeros((batch, 1), jnp.float32)
    return SearchTree(
        parents=nothing,
        actions=nothing,
        outcomes=nothing,
        visits=jnp.ones((batch, 1), jnp.int32),
        values=zero,
        priors=zero,
    )


def describe_tree(tree: mctx.Tree) -> SearchTree:
    """Returns what there is to show of the tree of a search, with or without chance."""
    batch = jnp.arange(tree.parents.shape[0])[:, None]
    below = tree.parents != mctx.Tree.NO_PARENT
    parents = jnp.where(below, tree.parents, mctx.Tree.ROOT_INDEX)
    actions = jnp.where(below, tree.action_from_parent, 0)
    if isinstance(tree.extra_data, Arrivals):
        arrivals = tree.extra_data
        values = arrivals.rewards + arrivals.discounts * tree.node_values
        outcomes = jnp.where(below & ~arrivals.certain, arrivals.outcomes, -1)
    else:
        values = (tree.children_rewards + tree.children_discounts * tree.children_values)[
            batch, parents, actions
        ]
        outcomes = jnp.full_like(parents, -1)
    priors = jax.nn.softmax(tree.children_prior_logits)[batch, parents, actions]
    return SearchTree(
        parents=tree.parents,
        actions=jnp.where(below, actions, -1),
        outcomes=outcomes,
        visits=tree.node_visits,
        values=jnp.where(below, jnp.clip(values, -1.0, 1.0), 0.0),
        priors=jnp.where(below, priors, 0.0),
    )
