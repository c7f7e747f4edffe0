"""Tree search where chance follows moves: decision nodes, chance nodes, the true probabilities.

`mctx.search` has one kind of node and adds one in each simulation. Chance nodes made of these, as
in `mctx.stochastic_muzero_policy`, spend half of the evaluations on afterstates, for which a
network would need another head, and all start with the same outcome. Here a simulation passes
through the chance node and always ends in a position. One simulation is one evaluation of the
network, as in games without chance. See docs/chance.md.
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
    outcome_probabilities,
    pick_outcome,
)
from selfplay.mcts.chance_tree import (
    UNVISITED,
    Arrivals,
    ChanceNodes,
    ChanceTree,
    back_up,
    empty_tree,
)
from selfplay.mcts.evaluation import Evaluator
from selfplay.mcts.leaves import evaluate_leaves

# The golden ratio as a share of 2 ** 32: multiples of it, modulo 1, fill [0, 1) evenly.
_GOLDEN = 2654435769


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
    """Returns the tree of `B` searches: what `mctx.search` does, for games of chance.

    Its `extra_data` are the `Arrivals` of its nodes.

    In each simulation actions are selected as in any other tree, outcomes follow their true
    probabilities, and one new position is evaluated. The value of an action is the expectation
    over its outcomes (Antonoglou et al., "Planning in Stochastic Environments with a Learned
    Model", 2022, section 4, with known instead of learned chance).

    Args:
        game: the rules.
        evaluate: evaluates positions, never afterstates.
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
    begin = empty_tree(game, root, num_simulations, invalid_actions, extra_data, root_key)
    walk = functools.partial(
        _walk, root_action_selection_fn, interior_action_selection_fn, max_depth
    )

    def simulate(number: Array, carry: tuple[ChanceTree, Key[Array, ""]]) -> Any:
        found, key = carry
        key, walk_key, expand_key = jax.random.split(key, 3)
        parents, actions = jax.vmap(functools.partial(walk, walk_key))(
            found.tree, found.chance, found.arrivals
        )
        expanded, leaves = _expand(
            game, evaluate, params, found, parents, actions, number, key=expand_key
        )
        return back_up(expanded, leaves), key

    found, _ = jax.lax.fori_loop(0, num_simulations, simulate, (begin, loop_key))
    return found.tree.replace(extra_data=found.arrivals)


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
        return jnp.where(edge == UNVISITED, UNVISITED, chance.children[edge, outcome])

    def goes_on(carry: tuple[Array, Array, Array, Array]) -> Array:
        _, _, child, depth = carry
        return (child != UNVISITED) & ~arrivals.over[child] & (depth < max_depth)

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
    found: ChanceTree,
    parents: Int32[Array, " B"],
    actions: Int32[Array, " B"],
    number: Int32[Array, ""],
    *,
    key: Key[Array, ""],
) -> tuple[ChanceTree, Int32[Array, " B"]]:
    """Plays the actions, evaluates what the next outcomes lead to; returns the evaluated nodes.

    Those are new, but for ended matches and where `max_depth` stopped the walk: there the new
    evaluation is averaged with the earlier ones.
    """
    tree, chance, arrivals = found.tree, found.chance, found.arrivals
    rows = jnp.arange(parents.shape[0])
    positions: Position[Any] = jax.tree.map(lambda leaf: leaf[rows, parents], tree.embeddings)
    edges = tree.children_index[rows, parents, actions]
    known = edges != UNVISITED
    edges = jnp.where(known, edges, number)
    likely = jax.vmap(functools.partial(outcome_probabilities, game))(positions, actions)
    certain = (likely <= 0).all(axis=-1)
    likely = likely.at[:, 0].set(jnp.where(certain, 1.0, likely[:, 0]))
    outcomes = jax.vmap(_next_outcome)(
        likely, arrivals.offsets[rows, parents], tree.children_visits[rows, parents, actions]
    )
    transition = jax.vmap(functools.partial(advance, game))(positions, actions, outcomes)
    evaluated = evaluate_leaves(game, evaluate, params, transition, key=key)

    earlier = jnp.where(known, chance.children[rows, edges, outcomes], UNVISITED)
    leaves = jnp.where(earlier == UNVISITED, number + 1, earlier).astype(jnp.int32)
    visits = tree.node_visits[rows, leaves]
    value = (tree.node_values[rows, leaves] * visits + evaluated.value) / (visits + 1)

    def put(where: Array, what: Array) -> Array:
        return where.at[rows, leaves].set(what)

    tree = tree.replace(
        node_visits=put(tree.node_visits, visits + 1),
        raw_values=put(tree.raw_values, value),
        node_values=put(tree.node_values, value),
        parents=put(tree.parents, parents),
        action_from_parent=put(tree.action_from_parent, actions),
        children_index=tree.children_index.at[rows, parents, actions].set(edges),
        children_prior_logits=put(tree.children_prior_logits, evaluated.prior_logits),
        embeddings=jax.tree.map(put, tree.embeddings, transition.position),
    )
    chance = ChanceNodes(
        probabilities=chance.probabilities.at[rows, edges].set(likely),
        visits=chance.visits,
        values=chance.values,
        children=chance.children.at[rows, edges, outcomes].set(leaves),
    )
    arrivals = Arrivals(
        outcomes=put(arrivals.outcomes, outcomes),
        rewards=put(arrivals.rewards, transition.reward),
        discounts=put(arrivals.discounts, transition.discount),
        over=put(arrivals.over, transition.over),
        certain=put(arrivals.certain, certain),
        offsets=arrivals.offsets,
    )
    return ChanceTree(tree=tree, chance=chance, arrivals=arrivals), leaves
