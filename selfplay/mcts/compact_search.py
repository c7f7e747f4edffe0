"""The search in a compact tree, which may keep proven bounds and stop at what is decided.

It does what `mctx.search` does with less memory. With `search.proven` it also keeps bounds of every
value (`selfplay.mcts.bounds`): decided and dominated actions are not searched any more, as if they
were illegal, and a node's value lies between its bounds.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree

from selfplay.game import Game, Position, advance
from selfplay.mcts.algorithm import SearchAlgorithm, SelectBelowRoot
from selfplay.mcts.bounds import (
    HIGHEST,
    LOWEST,
    Bounds,
    dominated,
    look_ahead,
    of_best_action,
)
from selfplay.mcts.compact_tree import (
    ROOT,
    UNVISITED,
    Children,
    CompactTree,
    as_mctx,
    children_of,
    empty_tree,
    keep_likeliest,
)
from selfplay.mcts.evaluation import Evaluator
from selfplay.mcts.leaves import evaluate_leaves
from selfplay.mcts.selection import SearchNoise
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
) -> CompactTree:
    """Returns the trees of `B` searches.

    With proven bounds the loop ends when every root is decided; a decided one waits for the others.

    Args:
        game: the rules, without chance.
        evaluate: evaluates positions.
        params: handed to `evaluate`.
        rng_key: consumed.
        root: prior logits, values and positions of the roots, an `mctx.RootFnOutput`.
        algorithm: selects actions.
        config: of the search; `proven` and `max_children` too.
        legal: actions of the roots.
        noise: of the roots' actions.
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
    if proven:
        tree = _prove(tree, jnp.zeros(batch, jnp.int32), jnp.ones(batch, jnp.bool_))
    walk = functools.partial(_walk, algorithm, config, noise)

    def goes_on(carry: tuple[Array, CompactTree, Key[Array, ""]]) -> Array:
        number, tree, _ = carry
        undecided = (~_roots_decided(tree)).any() if proven else True
        return (number < config.num_simulations) & undecided

    def simulate(carry: tuple[Array, CompactTree, Key[Array, ""]]) -> Any:
        number, tree, key = carry
        key, walk_key, expand_key = jax.random.split(key, 3)
        waits = _roots_decided(tree) if proven else jnp.zeros(batch, jnp.bool_)
        parents, slots = walk(tree, waits, key=walk_key)
        tree, leaves = _expand(
            game, evaluate, params, tree, parents, slots, number, waits, looks, key=expand_key
        )
        return number + 1, _back_up(tree, leaves, proven), key

    return jax.lax.while_loop(goes_on, simulate, (jnp.int32(0), tree, rng_key))[1]


def _roots_decided(tree: CompactTree) -> Bool[Array, " B"]:
    return tree.bounds.decided[:, ROOT]


def open_actions(children: Children, certain: Float32[Array, " B"]) -> Bool[Array, "B K"]:
    """Returns the actions of which something may still be learnt that matters."""
    settled = children.bounds.decided | dominated(children.bounds, children.legal, certain)
    return children.legal & ~settled


def _walk(
    algorithm: SearchAlgorithm,
    config: SearchConfig,
    noise: SearchNoise,
    tree: CompactTree,
    waits: Bool[Array, " B"],
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
        if not proven:
            return slots.astype(jnp.int32)
        # Sequential Halving follows a timetable of visits, which no longer fits where some of the
        # actions have left. There the rule of the other nodes takes over, with the same noise.
        noisy, _ = choose_from(roots, children, gumbel=True)
        others = jax.vmap(lambda one: select_below(key, one, one_node, one_node))(noisy)
        complete = (among == children.legal).all(axis=1)
        # It has been evaluated: an evaluator that remembers positions does not compute it again.
        known = jnp.argmax(jnp.where(children.legal, children.visits, -1), axis=1)
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
    )


def _expand(
    game: Game[Any],
    evaluate: Evaluator,
    params: PyTree,
    tree: CompactTree,
    parents: Int32[Array, " B"],
    slots: Int32[Array, " B"],
    number: Int32[Array, ""],
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
    at = jnp.where(new, number + 1, earlier).astype(jnp.int32)
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
