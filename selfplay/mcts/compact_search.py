"""The search in a compact tree, which may keep proven bounds and stop at what is decided.

It does what `mctx.search` does with less memory. Searches of one batch may have budgets of their
own. With `search.proven` it also keeps bounds of every value (`selfplay.mcts.bounds`): decided and
dominated actions are not searched any more, as if they were illegal, and a node's value lies
between its bounds.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree

from selfplay.game import Game, Position, advance, pytree
from selfplay.mcts.algorithm import SearchAlgorithm, SelectBelowRoot
from selfplay.mcts.bounds import HIGHEST, LOWEST, Bounds, look_ahead, of_best_action
from selfplay.mcts.compact_tree import (
    ROOT,
    UNVISITED,
    Children,
    CompactTree,
    as_mctx,
    children_of,
    empty_tree,
    keep_likeliest,
    open_actions,
)
from selfplay.mcts.evaluation import Evaluator
from selfplay.mcts.leaves import evaluate_leaves
from selfplay.mcts.reuse import begin_with
from selfplay.mcts.selection import SearchNoise
from selfplay.mcts.shrinking import simulate_while_any
from selfplay.settings.sections.search import SearchConfig


def compact_search(
    game: Game[Any],
    evaluate: Evaluator,
    params: PyTree,
    rng_key: Key[Array, ""],
    *,
    root: Any,
    algorithm: SearchAlgorithm,
    config: SearchConfig,
    legal: Bool[Array, "B A"],
    noise: SearchNoise,
    earlier: CompactTree | None = None,
) -> CompactTree:
    """Returns the trees of `B` searches.

    A search ends when its root is decided, with proven bounds, or when it has made the simulations
    of its budget. It then waits for the others, see `selfplay.mcts.shrinking`. What an earlier
    search has made of it, is not made again.

    Args:
        game: the rules, without chance.
        evaluate: evaluates positions.
        params: handed to `evaluate`.
        rng_key: consumed.
        root: prior logits, values and positions of the roots, an `mctx.RootFnOutput`.
        algorithm: selects actions.
        config: of the search; `proven` and `max_children` too.
        legal: actions of the roots.
        noise: of the roots' actions, and the budgets.
        earlier: trees that may know some of the positions, see `selfplay.mcts.reuse`.
    """
    batch, num_actions = legal.shape
    proven, looks = config.proven != "off", config.proven == "one-ply"
    unknown = Bounds(
        lower=jnp.full(legal.shape, LOWEST, jnp.float32),
        upper=jnp.full(legal.shape, HIGHEST, jnp.float32),
    )
    ahead = look_ahead(game, root.embedding, legal) if looks else unknown
    # Those that Sequential Halving considers, and any that win at once.
    ranking = jnp.where(ahead.lower == HIGHEST, 1e6, noise.root_gumbel + root.prior_logits)
    kept = min(config.max_children or num_actions, num_actions)
    tree = empty_tree(root, config.num_simulations, kept, ranking, ahead)
    nodes = jnp.ones(batch, jnp.int32)
    if earlier is not None:
        begun = begin_with(earlier, tree, root.embedding, ahead)
        tree, nodes = begun.tree, begun.nodes
        left = config.num_simulations + 1 - tree.visits[:, ROOT]
        noise = dataclasses.replace(noise, budgets=jnp.maximum(left, 0))
    if proven:
        tree = _prove(tree, jnp.zeros(batch, jnp.int32), jnp.ones(batch, jnp.bool_))

    def waits(rows: _Rows, number: Array) -> Array:
        ended = rows.tree.bounds.decided[:, ROOT]
        budgets = rows.noise.budgets
        return ended if budgets is None else ended | (number >= budgets)

    def simulate(rows: _Rows, waits: Array, number: Array, key: Key[Array, ""]) -> _Rows:
        walk_key, expand_key = jax.random.split(key)
        tree, noise = rows.tree, rows.noise
        parents, slots = _walk(
            algorithm, config, noise, tree, waits, rows.begun_with > 1, key=walk_key
        )
        tree, leaves = _expand(
            game, evaluate, params, tree, parents, slots, rows.begun_with + number, waits, looks,
            key=expand_key,
        )  # fmt: skip
        return dataclasses.replace(rows, tree=_back_up(tree, leaves, proven))

    rows: _Rows = simulate_while_any(
        _Rows(tree=tree, noise=noise, begun_with=nodes),
        simulate,
        waits if proven or noise.budgets is not None else None,
        most=config.num_simulations,
        key=rng_key,
    )
    return rows.tree


@pytree
class _Rows:
    """The searches of a batch.

    Attributes:
        tree: their trees.
        noise: of their roots, and their budgets.
        begun_with: nodes that their trees had before the first simulation.
    """

    tree: CompactTree
    noise: SearchNoise
    begun_with: Int32[Array, " B"]


def _walk(
    algorithm: SearchAlgorithm,
    config: SearchConfig,
    noise: SearchNoise,
    tree: CompactTree,
    waits: Bool[Array, " B"],
    reused: Bool[Array, " B"],
    *,
    key: Key[Array, ""],
) -> tuple[Int32[Array, " B"], Int32[Array, " B"]]:
    """Walks down the trees; returns the last node and the place of the action to evaluate next."""
    batch = waits.shape[0]
    rows = jnp.arange(batch)
    proven = config.proven != "off"
    max_depth = config.max_depth or config.num_simulations
    select_at_root = algorithm.select_at_root(config)
    select_below: SelectBelowRoot = algorithm.select_below_root(config)
    one_node = jnp.int32(0)

    def choose_from(
        nodes: Int32[Array, " B"], children: Children, gumbel: bool
    ) -> tuple[Any, Bool[Array, "B K"]]:
        """Returns trees of single nodes as algorithms read them, and which actions are open."""
        among = children.legal
        if proven:
            among = open_actions(children, tree.bounds.lower[rows, nodes])
        at_nodes = _noise_of(tree, nodes, noise)
        if gumbel:
            logits = children.logits + at_nodes.root_gumbel
            children = dataclasses.replace(children, logits=logits)
        values, raw_values = tree.values[rows, nodes], tree.raw_values[rows, nodes]
        return as_mctx(children, among, values, raw_values, at_nodes), among

    def at_root() -> Int32[Array, " B"]:
        roots = jnp.zeros(batch, jnp.int32)
        children = children_of(tree, roots)
        view, among = choose_from(roots, children, gumbel=False)
        slots = jax.vmap(lambda one: select_at_root(key, one, one_node))(view)
        # It has been evaluated: an evaluator that remembers positions does not compute it again.
        known = jnp.argmax(jnp.where(children.legal, children.visits, -1), axis=1)
        if not proven and not config.reuse_tree:
            return jnp.where(waits, known, slots).astype(jnp.int32)
        # Sequential Halving follows a timetable of visits, which no longer fits where some of the
        # actions have left, or were visited by an earlier search. There the rule of the other nodes
        # takes over, with the same noise.
        noisy, _ = choose_from(roots, children, gumbel=True)
        others = jax.vmap(lambda one: select_below(key, one, one_node, one_node))(noisy)
        complete = (among == children.legal).all(axis=1) & ~reused
        return jnp.where(waits, known, jnp.where(complete, slots, others)).astype(jnp.int32)

    def stops(nodes: Int32[Array, " B"]) -> Bool[Array, " B"]:
        ended = tree.over[rows, nodes]
        return ended | tree.bounds.decided[rows, nodes] if proven else ended

    def goes_on(carry: tuple[Array, ...]) -> Array:
        return carry[3].any()

    def descend(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        before, before_slot, child, going, depth = carry
        nodes = jnp.where(going, child, before)
        view, _ = choose_from(nodes, children_of(tree, nodes), gumbel=False)
        chosen = jax.vmap(lambda one: select_below(key, one, one_node, depth))(view)
        slots = jnp.where(going, chosen, before_slot).astype(jnp.int32)
        return arrive(nodes, slots, going, depth + 1)

    def arrive(nodes: Array, slots: Array, going: Array, depth: Array) -> tuple[Array, ...]:
        child = tree.children[rows, nodes, slots].astype(jnp.int32)
        ahead = going & (child != UNVISITED) & (depth < max_depth)
        return nodes, slots, child, ahead & ~stops(jnp.maximum(child, 0)), depth

    begin = arrive(jnp.zeros(batch, jnp.int32), at_root(), ~waits, jnp.int32(1))
    nodes, slots, *_ = jax.lax.while_loop(goes_on, descend, begin)
    return nodes, slots


def _noise_of(tree: CompactTree, nodes: Int32[Array, " B"], noise: SearchNoise) -> SearchNoise:
    """Returns the noise of the actions that a node of each tree keeps."""
    if tree.actions is None:
        return noise
    actions = tree.actions[jnp.arange(nodes.shape[0]), nodes].astype(jnp.int32)
    return SearchNoise(
        root_gumbel=jnp.take_along_axis(noise.root_gumbel, actions, axis=1),
        tie_break=jnp.take_along_axis(noise.tie_break, actions, axis=1),
        budgets=noise.budgets,
    )


def _expand(
    game: Game[Any],
    evaluate: Evaluator,
    params: PyTree,
    tree: CompactTree,
    parents: Int32[Array, " B"],
    slots: Int32[Array, " B"],
    number: Int32[Array, " B"],
    waits: Bool[Array, " B"],
    looks: bool,
    *,
    key: Key[Array, ""],
) -> tuple[CompactTree, Int32[Array, " B"]]:
    """Plays the selected actions and evaluates where they lead; returns the evaluated nodes.

    These are new, but for ended matches and where `max_depth` stopped the walk: there the new
    evaluation is averaged with the earlier ones. For a tree that waits it is the root, and what
    was evaluated is stored nowhere that counts.
    """
    rows = jnp.arange(parents.shape[0])
    positions: Position[Any] = jax.tree.map(lambda leaf: leaf[rows, parents], tree.positions)
    actions = slots if tree.actions is None else tree.actions[rows, parents, slots]
    transition = jax.vmap(functools.partial(advance, game))(positions, actions.astype(jnp.int32))
    evaluated = evaluate_leaves(game, evaluate, params, transition, key=key)
    logits, kept, left_out = keep_likeliest(evaluated.prior_logits, tree.children.shape[2])
    over = transition.over
    lower, upper = jnp.where(over, 0.0, LOWEST), jnp.where(over, 0.0, HIGHEST)
    if looks:
        legal = jax.vmap(game.legal_action_mask)(transition.position.state) & ~over[:, None]
        ahead = look_ahead(game, transition.position, legal)
        best = of_best_action(ahead, legal, Bounds(lower=lower, upper=upper), jnp.zeros_like(over))
        lower, upper = jnp.where(over, lower, best.lower), jnp.where(over, upper, best.upper)

    earlier = tree.children[rows, parents, slots].astype(jnp.int32)
    new = waits | (earlier == UNVISITED)
    at = jnp.where(new, number, earlier).astype(jnp.int32)
    visits = jnp.where(new, 0, tree.visits[rows, at])
    value = (tree.values[rows, at] * visits + evaluated.value) / (visits + 1)

    def put(where: Array, what: Any) -> Array:
        return where.at[rows, at].set(what.astype(where.dtype))

    def once(where: Array, what: Array) -> Array:
        return jnp.where(new, what, where[rows, at])

    lower, upper = once(tree.bounds.lower, lower), once(tree.bounds.upper, upper)
    tree = dataclasses.replace(
        tree,
        parents=put(tree.parents, jnp.where(waits, UNVISITED, parents)),
        slots=put(tree.slots, slots),
        visits=put(tree.visits, visits + 1),
        values=put(tree.values, jnp.clip(value, lower, upper)),
        raw_values=put(tree.raw_values, value),
        rewards=put(tree.rewards, once(tree.rewards, transition.reward)),
        discounts=put(tree.discounts, once(tree.discounts, transition.discount)),
        bounds=Bounds(lower=put(tree.bounds.lower, lower), upper=put(tree.bounds.upper, upper)),
        over=put(tree.over, over),
        children=tree.children.at[rows, parents, slots].set(
            jnp.where(waits, earlier, at).astype(tree.children.dtype)
        ),
        logits=put(tree.logits, logits),
        actions=None if tree.actions is None else put(tree.actions, kept),
        left_out=None if tree.left_out is None else put(tree.left_out, left_out),
        positions=jax.tree.map(put, tree.positions, transition.position),
    )
    return tree, jnp.where(waits, ROOT, at)


def _back_up(tree: CompactTree, leaves: Int32[Array, " B"], proven: bool) -> CompactTree:
    """Backs up new values, and what is proven, from the leaves to the roots."""
    rows = jnp.arange(leaves.shape[0])

    def below_root(carry: tuple[Array, CompactTree]) -> Array:
        return (carry[0] != ROOT).any()

    def up(carry: tuple[Array, CompactTree]) -> tuple[Array, CompactTree]:
        nodes, tree = carry
        moves = nodes != ROOT
        parents = jnp.where(moves, tree.parents[rows, nodes], ROOT)
        tree = dataclasses.replace(
            tree, visits=tree.visits.at[rows, parents].add(moves.astype(jnp.int32))
        )
        if proven:
            return parents, _prove(tree, parents, moves)
        children = children_of(tree, parents)
        mean = _mean(tree, parents, children, children.legal)
        values = jnp.where(moves, mean, tree.values[rows, parents])
        return parents, dataclasses.replace(tree, values=tree.values.at[rows, parents].set(values))

    return jax.lax.while_loop(below_root, up, (leaves, tree))[1]


def _prove(tree: CompactTree, nodes: Int32[Array, " B"], which: Bool[Array, " B"]) -> CompactTree:
    """Returns the trees with new bounds and values of one node of each, where `which` says so.

    The value is the mean over the actions that are still open, within the bounds: a move that is
    known to lose says nothing about a position in which it need not be played.
    """
    rows = jnp.arange(nodes.shape[0])
    children = children_of(tree, nodes)
    before = jax.tree.map(lambda bound: bound[rows, nodes], tree.bounds)
    left_out = jnp.zeros_like(which) if tree.left_out is None else tree.left_out[rows, nodes]
    now = of_best_action(children.bounds, children.legal, before, left_out)
    among = open_actions(children, now.lower)
    mean = _mean(tree, nodes, children, among)

    def put(where: Array, what: Array) -> Array:
        return where.at[rows, nodes].set(jnp.where(which, what, where[rows, nodes]))

    return dataclasses.replace(
        tree,
        values=put(tree.values, jnp.clip(mean, now.lower, now.upper)),
        bounds=Bounds(
            lower=put(tree.bounds.lower, now.lower), upper=put(tree.bounds.upper, now.upper)
        ),
    )


def _mean(
    tree: CompactTree,
    nodes: Int32[Array, " B"],
    children: Children,
    among: Bool[Array, "B K"],
) -> Float32[Array, " B"]:
    """Returns the mean of a node's own evaluation and of some of its actions by their visits."""
    visits = jnp.where(among, children.visits, 0)
    own = tree.raw_values[jnp.arange(nodes.shape[0]), nodes]
    return (own + (visits * children.qvalues).sum(axis=1)) / (1 + visits.sum(axis=1))
