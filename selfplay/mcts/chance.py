"""Tree search where chance follows moves: decision nodes, chance nodes, the true probabilities.

`mctx.search` knows one kind of node and adds one in each simulation. Chance nodes built out of
those, as in `mctx.stochastic_muzero_policy`, spend half of the evaluations on afterstates, for
which a network would need a head of its own, and all begin with the same outcome. Here a
simulation goes through the chance node at once and always ends in a position, so that one
simulation is one evaluation of the network, as in games without chance. See docs/chance.md.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mctx
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree, UInt32

from selfplay.game import (
    ChanceGame,
    Position,
    advance,
    is_over,
    outcome_probabilities,
    pick_outcome,
    pytree,
)
from selfplay.mcts.evaluation import Evaluator
from selfplay.mcts.selection import mask_logits

_UNVISITED = -1
# The golden ratio as a share of 2 ** 32: multiples of it, modulo 1, fill [0, 1) evenly.
_GOLDEN = 2654435769


@pytree
class _ChanceNodes:
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
    """What is known of each decision node besides its `mctx.Tree`; `M` is N + 1.

    Attributes:
        outcomes: the outcome that led to it.
        rewards: reward on the way to it, for the player who moved.
        discounts: what turns its value into one for the player who moved.
        over: whether the match has ended there.
        certain: whether no chance lay on the way; `outcomes` is 0 then.
        offsets: where its actions begin in the sequence of outcomes. One for all actions of a
            node: they are compared under the same dice.
    """

    outcomes: Int32[Array, "B M"]
    rewards: Float32[Array, "B M"]
    discounts: Float32[Array, "B M"]
    over: Bool[Array, "B M"]
    certain: Bool[Array, "B M"]
    offsets: UInt32[Array, "B M"]


@pytree
class _Search:
    """All that changes from one simulation to the next.

    Attributes:
        tree: decision nodes; `children_index` holds chance nodes, and `children_values` the
            expectation over the outcomes, for the player who moves.
        chance: chance nodes; node `i` was made in simulation `i`.
        arrivals: more of the decision nodes.
    """

    tree: PyTree
    chance: _ChanceNodes
    arrivals: Arrivals


def chance_tree_search(
    game: ChanceGame[Any],
    evaluate: Evaluator,
    params: PyTree,
    rng_key: Key[Array, ""],
    *,
    root: Any,
    root_action_selection_fn: Callable[..., Array],
    interior_action_selection_fn: Callable[..., Array],
    num_simulations: int,
    max_depth: int,
    invalid_actions: Bool[Array, "B A"],
    extra_data: Any,
) -> mctx.Tree:
    """Returns the tree of `B` searches; stands in for `mctx.search` in games of chance.

    Its `extra_data` are the `Arrivals` of its nodes.

    In each simulation actions are selected as in any other tree, outcomes follow their true
    probabilities, and one new position is evaluated. The value of an action is the expectation
    over its outcomes (Antonoglou et al., "Planning in Stochastic Environments with a Learned
    Model", 2022, section 4, with known instead of learned chance).

    Args:
        game: the rules.
        evaluate: rates positions; never asked about an afterstate.
        params: handed to `evaluate`.
        rng_key: consumed.
        root: prior logits, values and positions of the roots, an `mctx.RootFnOutput`.
        root_action_selection_fn: as for `mctx.search`; its key is the same at every step.
        interior_action_selection_fn: likewise.
        num_simulations: at least 1.
        max_depth: deepest ply below the root.
        invalid_actions: of the roots.
        extra_data: in the tree as long as actions are selected.
    """
    root_key, loop_key = jax.random.split(rng_key)
    begin = _begin(game, root, num_simulations, invalid_actions, extra_data, root_key)
    walk = functools.partial(
        _walk, root_action_selection_fn, interior_action_selection_fn, max_depth
    )

    def simulate(number: Array, carry: tuple[_Search, Key[Array, ""]]) -> Any:
        found, key = carry
        key, walk_key, expand_key = jax.random.split(key, 3)
        parents, actions = jax.vmap(functools.partial(walk, walk_key))(
            found.tree, found.chance, found.arrivals
        )
        expanded, leaves = _expand(
            game, evaluate, params, found, parents, actions, number, key=expand_key
        )
        return _back_up(expanded, leaves), key

    found, _ = jax.lax.fori_loop(0, num_simulations, simulate, (begin, loop_key))
    return found.tree.replace(extra_data=found.arrivals)


def _begin(
    game: ChanceGame[Any],
    root: Any,
    num_simulations: int,
    invalid_actions: Bool[Array, "B A"],
    extra_data: Any,
    key: Key[Array, ""],
) -> _Search:
    """Returns `B` searches that know nothing but their roots."""
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
        children_index=jnp.full(edges, _UNVISITED, jnp.int32),
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
    return _Search(
        tree=tree,
        chance=_ChanceNodes(
            probabilities=jnp.zeros(outcomes, jnp.float32),
            visits=jnp.zeros(outcomes, jnp.int32),
            values=jnp.zeros(outcomes, jnp.float32),
            children=jnp.full(outcomes, _UNVISITED, jnp.int32),
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


def _next_outcome(
    probabilities: Float32[Array, " C"], offset: UInt32[Array, ""], visits: Int32[Array, ""]
) -> Int32[Array, ""]:
    """Returns the outcome of the next simulation through a chance node.

    Shares of [0, 1) in steps of the golden ratio from a random beginning: each visit alone is a
    fair draw, and any number of them in a row is spread as evenly as can be (a low-discrepancy
    sequence). The beginning is drawn once per node, so all its actions see the same dice.
    """
    # In whole numbers modulo 2 ** 32, which lose nothing after many visits; 24 bits are a float32.
    place = offset + visits.astype(jnp.uint32) * jnp.uint32(_GOLDEN)
    return pick_outcome(probabilities, (place >> 8).astype(jnp.float32) * jnp.float32(2**-24))


def _walk(
    select_at_root: Callable[..., Array],
    select_below: Callable[..., Array],
    max_depth: int,
    key: Key[Array, ""],
    tree: Any,
    chance: Any,
    arrivals: Any,
) -> tuple[Array, Array]:
    """Walks down one tree; returns the last node and the action whose outcome is evaluated next."""

    def arrive(node: Array, action: Array) -> Array:
        """Returns the node behind the next outcome of `action`, -1 if it has none yet."""
        edge = tree.children_index[node, action]
        visits = tree.children_visits[node, action]
        outcome = _next_outcome(chance.probabilities[edge], arrivals.offsets[node], visits)
        return jnp.where(edge == _UNVISITED, _UNVISITED, chance.children[edge, outcome])

    def goes_on(carry: tuple[Array, Array, Array, Array]) -> Array:
        _, _, child, depth = carry
        return (child != _UNVISITED) & ~arrivals.over[child] & (depth < max_depth)

    def descend(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        _, _, node, depth = carry
        action = select_below(key, tree, node, depth)
        return node, action, arrive(node, action), depth + 1

    first = jnp.int32(mctx.Tree.ROOT_INDEX)
    action = select_at_root(key, tree, first).astype(jnp.int32)
    begin = (first, action, arrive(first, action), jnp.int32(1))
    node, action, _, _ = jax.lax.while_loop(goes_on, descend, begin)
    return node, action


def _expand(
    game: ChanceGame[Any],
    evaluate: Evaluator,
    params: PyTree,
    found: _Search,
    parents: Int32[Array, " B"],
    actions: Int32[Array, " B"],
    number: Int32[Array, ""],
    *,
    key: Key[Array, ""],
) -> tuple[_Search, Int32[Array, " B"]]:
    """Plays the actions, evaluates what the next outcomes lead to; returns the evaluated nodes.

    Those are new, but for ended matches and where `max_depth` stopped the walk: there the new
    evaluation is averaged with the earlier ones.
    """
    tree, chance, arrivals = found.tree, found.chance, found.arrivals
    rows = jnp.arange(parents.shape[0])
    positions: Position[Any] = jax.tree.map(lambda leaf: leaf[rows, parents], tree.embeddings)
    edges = tree.children_index[rows, parents, actions]
    known = edges != _UNVISITED
    edges = jnp.where(known, edges, number)
    likely = jax.vmap(functools.partial(outcome_probabilities, game))(positions, actions)
    certain = (likely <= 0).all(axis=-1)
    likely = likely.at[:, 0].set(jnp.where(certain, 1.0, likely[:, 0]))
    outcomes = jax.vmap(_next_outcome)(
        likely, arrivals.offsets[rows, parents], tree.children_visits[rows, parents, actions]
    )
    transition = jax.vmap(functools.partial(advance, game))(positions, actions, outcomes)
    after = transition.position
    evaluation = evaluate(params, after.state, key=key)
    over = jax.vmap(functools.partial(is_over, game))(after)
    legal = jax.vmap(game.legal_action_mask)(after.state) & ~over[:, None]
    logits = mask_logits(evaluation.policy_logits.astype(jnp.float32), legal)

    earlier = jnp.where(known, chance.children[rows, edges, outcomes], _UNVISITED)
    leaves = jnp.where(earlier == _UNVISITED, number + 1, earlier).astype(jnp.int32)
    visits = tree.node_visits[rows, leaves]
    value = jnp.where(over, 0.0, evaluation.value)
    value = (tree.node_values[rows, leaves] * visits + value) / (visits + 1)

    def put(where: Array, what: Array) -> Array:
        return where.at[rows, leaves].set(what)

    tree = tree.replace(
        node_visits=put(tree.node_visits, visits + 1),
        raw_values=put(tree.raw_values, value),
        node_values=put(tree.node_values, value),
        parents=put(tree.parents, parents),
        action_from_parent=put(tree.action_from_parent, actions),
        children_index=tree.children_index.at[rows, parents, actions].set(edges),
        children_prior_logits=put(tree.children_prior_logits, logits),
        embeddings=jax.tree.map(put, tree.embeddings, after),
    )
    chance = _ChanceNodes(
        probabilities=chance.probabilities.at[rows, edges].set(likely),
        visits=chance.visits,
        values=chance.values,
        children=chance.children.at[rows, edges, outcomes].set(leaves),
    )
    arrivals = Arrivals(
        outcomes=put(arrivals.outcomes, outcomes),
        rewards=put(arrivals.rewards, transition.reward),
        discounts=put(arrivals.discounts, transition.discount),
        over=put(arrivals.over, over),
        certain=put(arrivals.certain, certain),
        offsets=arrivals.offsets,
    )
    return _Search(tree=tree, chance=chance, arrivals=arrivals), leaves


def _back_up(found: _Search, leaves: Int32[Array, " B"]) -> _Search:
    """Brings new values up to the roots.

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
        expected = jax.vmap(_expectation)(
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
    return _Search(
        tree=tree.replace(
            node_values=node_values,
            node_visits=node_visits,
            children_values=values,
            children_visits=visits,
        ),
        chance=_ChanceNodes(
            probabilities=chance.probabilities,
            visits=outcome_visits,
            values=outcome_values,
            children=chance.children,
        ),
        arrivals=arrivals,
    )


def _expectation(
    probabilities: Float32[Array, " C"], visits: Int32[Array, " C"], values: Float32[Array, " C"]
) -> Float32[Array, ""]:
    """Returns the value of a chance node, at least one outcome of which has been visited.

    Visited outcomes count with their probability; what is left to the others is spread over the
    visits. After one visit that is a fair sample, once every outcome has come up the exact
    expectation of what is thought of them.
    """
    visited = visits > 0
    missing = jnp.sum(jnp.where(visited, 0.0, probabilities))
    weights = jnp.where(visited, probabilities, 0.0) + missing * visits / visits.sum()
    return jnp.sum(weights * values)
