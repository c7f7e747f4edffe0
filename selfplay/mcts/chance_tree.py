"""The tree of a search with chance nodes: its arrays, and the backup of new values."""

from typing import Any

import jax
import jax.numpy as jnp
import mctx
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree, UInt32

from selfplay.game import ChanceGame, pytree

UNVISITED = -1
"""Instead of a node that does not exist yet."""


@pytree
class ChanceNodes:
    """What follows each action that was tried in `B` searches of `N` simulations.

    Attributes:
        probabilities: of the outcomes; where no chance follows, outcome 0 is certain.
        visits: simulations through each outcome.
        values: of each outcome, in [-1, 1], for the player who moved.
        children: the decision node that each outcome leads to, -1 if it has not come up yet.
    """

    probabilities: Float32[Array, "B N C"]
    visits: Int32[Array, "B N C"]
    values: Float32[Array, "B N C"]
    children: Int32[Array, "B N C"]


@pytree
class Arrivals:
    """How each decision node was reached, beside what `mctx.Tree` stores of it; `M` is N + 1.

    Attributes:
        outcomes: the chance outcome that led to it.
        rewards: of the transition to it, in [-1, 1], for the player who moved.
        discounts: factor in {-1, 0, 1} that turns its value into one for the player who moved.
        over: whether the match has ended there.
        certain: whether no chance was involved; `outcomes` is 0 then.
        offsets: where its actions begin in the sequence of outcomes; the same for all actions of a
            node, so that they are compared under equal dice.
    """

    outcomes: Int32[Array, "B M"]
    rewards: Float32[Array, "B M"]
    discounts: Float32[Array, "B M"]
    over: Bool[Array, "B M"]
    certain: Bool[Array, "B M"]
    offsets: UInt32[Array, "B M"]


@pytree
class ChanceTree:
    """The trees of `B` searches: everything that a simulation changes.

    Attributes:
        tree: decision nodes, an `mctx.Tree`; its `children_index` holds chance nodes, and its
            `children_values` the expectation over the outcomes, for the player who moves.
        chance: chance nodes; node `i` was made in simulation `i`.
        arrivals: how the decision nodes were reached.
    """

    tree: PyTree
    chance: ChanceNodes
    arrivals: Arrivals


def empty_tree(
    game: ChanceGame[Any],
    root: Any,
    num_simulations: int,
    invalid_actions: Bool[Array, "B A"],
    extra_data: Any,
    key: Key[Array, ""],
) -> ChanceTree:
    """Returns `B` trees that hold their roots alone."""
    batch, actions = root.prior_logits.shape
    nodes = (batch, num_simulations + 1)
    edges = (*nodes, actions)
    outcomes = (batch, num_simulations, game.num_outcomes)

    def with_root(empty: Array, first: Array) -> Array:
        return empty.at[:, 0].set(first)

    values = with_root(jnp.zeros(nodes, jnp.float32), root.value)
    tree = mctx.Tree(
        node_visits=with_root(jnp.zeros(nodes, jnp.int32), jnp.ones(batch, jnp.int32)),
        raw_values=values,
        node_values=values,
        parents=jnp.full(nodes, mctx.Tree.NO_PARENT, jnp.int32),
        action_from_parent=jnp.full(nodes, mctx.Tree.NO_PARENT, jnp.int32),
        children_index=jnp.full(edges, UNVISITED, jnp.int32),
        children_prior_logits=with_root(jnp.zeros(edges, jnp.float32), root.prior_logits),
        children_values=jnp.zeros(edges, jnp.float32),
        children_visits=jnp.zeros(edges, jnp.int32),
        # Values of actions are kept for the player who moves: `qvalues` adds and turns nothing.
        children_rewards=jnp.zeros(edges, jnp.float32),
        children_discounts=jnp.ones(edges, jnp.float32),
        embeddings=jax.tree.map(
            lambda leaf: with_root(jnp.zeros((*nodes, *leaf.shape[1:]), leaf.dtype), leaf),
            root.embedding,
        ),
        root_invalid_actions=invalid_actions,
        extra_data=extra_data,
    )
    return ChanceTree(
        tree=tree,
        chance=ChanceNodes(
            probabilities=jnp.zeros(outcomes, jnp.float32),
            visits=jnp.zeros(outcomes, jnp.int32),
            values=jnp.zeros(outcomes, jnp.float32),
            children=jnp.full(outcomes, UNVISITED, jnp.int32),
        ),
        arrivals=Arrivals(
            outcomes=jnp.zeros(nodes, jnp.int32),
            rewards=jnp.zeros(nodes, jnp.float32),
            discounts=jnp.zeros(nodes, jnp.float32),
            over=jnp.zeros(nodes, jnp.bool_),
            certain=jnp.zeros(nodes, jnp.bool_),
            offsets=jax.random.bits(key, nodes, jnp.uint32),
        ),
    )


def back_up(found: ChanceTree, leaves: Int32[Array, " B"]) -> ChanceTree:
    """Backs up new values from the leaves to the roots.

    A decision node is worth the mean of its own evaluation and of its actions by their visits,
    as in any other tree; an action is worth the expectation over its outcomes.
    """
    arrivals = found.arrivals
    rows = jnp.arange(leaves.shape[0])
    parents, actions = found.tree.parents, found.tree.action_from_parent
    edges_of = found.tree.children_index
    likely = found.chance.probabilities

    def below_root(carry: tuple[Any, ...]) -> Array:
        return (carry[0] != mctx.Tree.ROOT_INDEX).any()

    def up(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        index, node_values, node_visits, values, visits, outcome_values, outcome_visits = carry
        moves = index != mctx.Tree.ROOT_INDEX
        # Rows that have arrived at their root write back what they read.
        parent = jnp.where(moves, parents[rows, index], mctx.Tree.ROOT_INDEX)
        action = jnp.where(moves, actions[rows, index], 0)
        edge = jnp.where(moves, edges_of[rows, parent, action], 0)
        outcome = arrivals.outcomes[rows, index]
        reached = arrivals.rewards[rows, index] + (
            arrivals.discounts[rows, index] * node_values[rows, index]
        )
        outcome_values = outcome_values.at[rows, edge, outcome].set(
            jnp.where(moves, reached, outcome_values[rows, edge, outcome])
        )
        outcome_visits = outcome_visits.at[rows, edge, outcome].add(moves.astype(jnp.int32))
        expected = jax.vmap(expectation)(
            likely[rows, edge], outcome_visits[rows, edge], outcome_values[rows, edge]
        )
        before, tried = values[rows, parent, action], visits[rows, parent, action]
        count, mean = node_visits[rows, parent], node_values[rows, parent]
        mean_now = (mean * count - before * tried + expected * (tried + 1)) / (count + 1)
        step = moves.astype(jnp.int32)
        return (
            parent,
            node_values.at[rows, parent].set(jnp.where(moves, mean_now, mean)),
            node_visits.at[rows, parent].add(step),
            values.at[rows, parent, action].set(jnp.where(moves, expected, before)),
            visits.at[rows, parent, action].add(step),
            outcome_values,
            outcome_visits,
        )

    tree, chance = found.tree, found.chance
    _, node_values, node_visits, values, visits, outcome_values, outcome_visits = (
        jax.lax.while_loop(
            below_root,
            up,
            (
                leaves,
                tree.node_values,
                tree.node_visits,
                tree.children_values,
                tree.children_visits,
                chance.values,
                chance.visits,
            ),
        )
    )
    return ChanceTree(
        tree=tree.replace(
            node_values=node_values,
            node_visits=node_visits,
            children_values=values,
            children_visits=visits,
        ),
        chance=ChanceNodes(
            probabilities=chance.probabilities,
            visits=outcome_visits,
            values=outcome_values,
            children=chance.children,
        ),
        arrivals=arrivals,
    )


def expectation(
    probabilities: Float32[Array, " C"], visits: Int32[Array, " C"], values: Float32[Array, " C"]
) -> Float32[Array, ""]:
    """Returns the value of a chance node of which at least one outcome has been visited.

    Visited outcomes count with their probability; the probability of the others is divided among
    the visits. After one visit this is an unbiased sample. Once every outcome has been visited it
    is the exact expectation of their values.
    """
    visited = visits > 0
    missing = jnp.sum(jnp.where(visited, 0.0, probabilities))
    weights = jnp.where(visited, probabilities, 0.0) + missing * visits / visits.sum()
    return jnp.sum(weights * values)
