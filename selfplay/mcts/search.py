"""The search: a batch of positions in, better policies, values and moves out."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mctx
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree

from selfplay.game import ChanceGame, Game, Position, advance, pytree
from selfplay.mcts.algorithm import SearchAlgorithm
from selfplay.mcts.budgets import scaled_simulations
from selfplay.mcts.chance import chance_tree_search
from selfplay.mcts.compact_search import compact_search
from selfplay.mcts.compact_tree import CompactTree, describe_compact_tree, of_all_actions
from selfplay.mcts.evaluation import Evaluation, Evaluator, uniform_evaluator
from selfplay.mcts.leaves import evaluate_leaves
from selfplay.mcts.proven_decision import decide_with_bounds
from selfplay.mcts.selection import (
    SearchNoise,
    best_with_tie_break,
    mask_logits,
    sampling_probabilities,
)
from selfplay.mcts.side_positions import SidePositions, no_side_positions, side_positions
from selfplay.mcts.symmetry import symmetric_evaluator
from selfplay.mcts.tree import SearchTree, bare_tree, describe_tree
from selfplay.settings.choices import ALGORITHMS, implementation
from selfplay.settings.sections.search import SearchConfig


@pytree
class SearchResult:
    """What a search found in `B` positions.

    Attributes:
        actions: the moves to play.
        policy: the improved policy, the target of training; each row sums to 1, illegal actions
            have 0.
        visits: simulations through each root action.
        qvalues: value of each root action in [-1, 1] for the player to move; 0 if unvisited.
        value: value of the position in [-1, 1] for the player to move, after the search.
        raw_value: the evaluator's own value.
        raw_policy: the evaluator's own policy over the legal actions, without noise.
        proven: whether `value` is exact, see `search.proven`.
    """

    actions: Int32[Array, " B"]
    policy: Float32[Array, "B A"]
    visits: Int32[Array, "B A"]
    qvalues: Float32[Array, "B A"]
    value: Float32[Array, " B"]
    raw_value: Float32[Array, " B"]
    raw_policy: Float32[Array, "B A"]
    proven: Bool[Array, " B"]


def search(
    game: Game[Any],
    evaluate: Evaluator,
    params: PyTree,
    positions: Position[Any],
    config: SearchConfig,
    *,
    key: Key[Array, ""],
) -> SearchResult:
    """Searches `B` positions at once with the true rules as the model.

    Where chance follows a move, the search takes expectations with the true probabilities; see
    `selfplay.mcts.chance`. `config.algorithm` names the algorithm: see `selfplay.mcts.gumbel` and
    `selfplay.mcts.most_visited` for the papers.

    Args:
        game: the rules; static under `jax.jit`.
        evaluate: evaluates positions, with values for the player to move.
        params: handed to `evaluate`.
        positions: `B` positions, none of them over: the result of such a row has no meaning.
        config: how hard to search; static.
        key: consumed. The result depends on nothing else.

    Returns:
        Moves, improved policies and values.

    >>> import jax, jax.numpy as jnp, selfplay
    >>> game = selfplay.make("tic_tac_toe")
    >>> def indifferent(params, states, *, key):
    ...     batch = states.player.shape[0]
    ...     return selfplay.Evaluation(policy_logits=jnp.zeros((batch, 9)), value=jnp.zeros(batch))
    >>> def begin(key):
    ...     return selfplay.Position(state=game.init(key), ply=jnp.int32(0))
    >>> positions = jax.vmap(begin)(jax.random.split(jax.random.key(0), 2))
    >>> config = selfplay.SearchConfig(num_simulations=4)
    >>> found = search(game, indifferent, None, positions, config, key=jax.random.key(1))
    >>> found.policy.shape, found.visits.sum(axis=1).tolist()
    ((2, 9), [4, 4])
    """
    return _search(game, evaluate, params, positions, config, key=key)[0]


def search_with_tree(
    game: Game[Any],
    evaluate: Evaluator,
    params: PyTree,
    positions: Position[Any],
    config: SearchConfig,
    *,
    key: Key[Array, ""],
) -> tuple[SearchResult, SearchTree]:
    """Searches as `search` does; returns the same, and the trees that it grew."""
    found, tree = _search(game, evaluate, params, positions, config, key=key)
    if tree is None:
        return found, bare_tree(len(found.actions))
    if isinstance(tree, CompactTree):
        return found, describe_compact_tree(tree)
    return found, describe_tree(tree)


def search_with_sides(
    game: Game[Any],
    evaluate: Evaluator,
    params: PyTree,
    positions: Position[Any],
    config: SearchConfig,
    *,
    key: Key[Array, ""],
) -> tuple[SearchResult, SidePositions]:
    """Searches as `search` does; returns the same, and a position beside the match for each search.

    Not for games of chance.
    """
    found, tree = _search(game, evaluate, params, positions, config, key=key, own_tree=True)
    if not isinstance(tree, CompactTree):
        return found, no_side_positions(len(found.actions), game.num_actions)
    algorithm = _algorithm(config)
    return found, side_positions(algorithm, config, tree, found.actions, game.num_actions)


def search_from(
    game: Game[Any],
    evaluate: Evaluator,
    params: PyTree,
    positions: Position[Any],
    config: SearchConfig,
    earlier: CompactTree,
    *,
    key: Key[Array, ""],
) -> tuple[SearchResult, CompactTree]:
    """Searches as `search` does, but goes on where earlier searches were; returns its trees, too.

    A position that lies in an earlier tree begins with what is known of it, and is searched until
    it has as many simulations as any other. Not for games of chance, nor for 0 simulations.

    Args:
        game: as for `search`.
        evaluate: likewise.
        params: likewise; those of the earlier searches.
        positions: likewise.
        config: likewise.
        earlier: what the last call with as many positions returned; at first `no_trees`.
        key: consumed.
    """
    found, tree = _search(game, evaluate, params, positions, config, earlier, key=key)
    if not isinstance(tree, CompactTree):
        raise TypeError("only searches in compact trees go on where others were")
    return found, tree


def no_trees(game: Game[Any], positions: Position[Any], config: SearchConfig) -> CompactTree:
    """Returns trees for `search_from` that know nothing."""

    def grown(positions: Position[Any]) -> CompactTree:
        config_ = dataclasses.replace(config, max_children=config.max_children or game.num_actions)
        evaluate = uniform_evaluator(game)
        tree = _search(game, evaluate, (), positions, config_, key=jax.random.key(0))[1]
        if not isinstance(tree, CompactTree):
            raise TypeError("only searches in compact trees go on where others were")
        return tree

    shapes = jax.eval_shape(grown, positions)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def policy_surprise(
    policy: Float32[Array, "B A"], raw_policy: Float32[Array, "B A"]
) -> Float32[Array, " B"]:
    """Returns how much a search surprised the network: a divergence in nats, at least 0.

    It is the Kullback-Leibler divergence of the policy of the search from the network's own.

    Args:
        policy: of the search; each row sums to 1, illegal actions have 0.
        raw_policy: of the network, likewise.
    """
    ratio = jnp.log(jnp.maximum(policy, 1e-30)) - jnp.log(jnp.maximum(raw_policy, 1e-30))
    return jnp.maximum(jnp.sum(policy * ratio, axis=-1), 0.0)


def _search(
    game: Game[Any],
    evaluate: Evaluator,
    params: PyTree,
    positions: Position[Any],
    config: SearchConfig,
    earlier: CompactTree | None = None,
    *,
    key: Key[Array, ""],
    own_tree: bool = False,
) -> tuple[SearchResult, mctx.Tree | CompactTree | None]:
    """Returns the result, and the tree; None where there was no search.

    With `own_tree` it is a compact one, whatever `config.tree` says.
    """
    tree = None
    evaluate = symmetric_evaluator(game, evaluate, config.symmetry)
    evaluate_key, noise_key, search_key, move_key = jax.random.split(key, 4)
    legal = jax.vmap(game.legal_action_mask)(positions.state)
    evaluation = evaluate(params, positions.state, key=evaluate_key)
    logits = mask_logits(evaluation.policy_logits.astype(jnp.float32), legal)
    if config.num_simulations == 0:
        found = _raw_result(logits, evaluation, noise_key)
    else:
        found, tree = _tree_result(
            game, evaluate, params, positions, config, legal, logits, evaluation.value, earlier,
            noise_key=noise_key, search_key=search_key, own_tree=own_tree,
        )  # fmt: skip
    if config.sampling_plies == 0:
        return found, tree
    chances = sampling_probabilities(found.policy, config)
    sampled = jax.random.categorical(move_key, jnp.log(jnp.maximum(chances, 1e-30)))
    opening = positions.ply < config.sampling_plies
    sampled_result = SearchResult(
        actions=jnp.where(opening, sampled.astype(jnp.int32), found.actions),
        policy=found.policy,
        visits=found.visits,
        qvalues=found.qvalues,
        value=found.value,
        raw_value=found.raw_value,
        raw_policy=found.raw_policy,
        proven=found.proven,
    )
    return sampled_result, tree


def _raw_result(
    logits: Float32[Array, "B A"], evaluation: Evaluation, noise_key: Key[Array, ""]
) -> SearchResult:
    """Returns the evaluator's own policy and value, as the result of no simulations."""
    policy = jax.nn.softmax(logits)
    tie_break = jax.random.uniform(noise_key, logits.shape)
    return SearchResult(
        actions=jax.vmap(best_with_tie_break)(logits, tie_break),
        policy=policy,
        visits=jnp.zeros(logits.shape, jnp.int32),
        qvalues=jnp.zeros_like(logits),
        value=evaluation.value,
        raw_value=evaluation.value,
        raw_policy=policy,
        proven=jnp.zeros(logits.shape[0], jnp.bool_),
    )


def _tree_result(
    game: Game[Any],
    evaluate: Evaluator,
    params: PyTree,
    positions: Position[Any],
    config: SearchConfig,
    legal: Bool[Array, "B A"],
    logits: Float32[Array, "B A"],
    raw_value: Float32[Array, " B"],
    earlier: CompactTree | None,
    *,
    noise_key: Key[Array, ""],
    search_key: Key[Array, ""],
    own_tree: bool,
) -> tuple[SearchResult, mctx.Tree | CompactTree]:
    """Returns the result of the simulations that the algorithm of `config` makes, and the tree."""
    algorithm = _algorithm(config)
    gumbel_key, tie_key, root_key = jax.random.split(noise_key, 3)
    tie_break = jax.random.uniform(tie_key, logits.shape)
    noise = SearchNoise(
        root_gumbel=algorithm.root_gumbel(logits, tie_break, config, key=gumbel_key),
        tie_break=tie_break,
        budgets=(
            scaled_simulations(raw_value, config.num_simulations)
            if config.scale_simulations
            else None
        ),
    )
    root = mctx.RootFnOutput(
        prior_logits=algorithm.root_logits(logits, legal, config, key=root_key),
        value=raw_value,
        embedding=positions,
    )
    prior = jax.nn.softmax(logits)
    # Bounds of chance nodes are not kept: there the search is the plain one.
    own = own_tree or config.has_compact_tree(jax.default_backend()) or earlier is not None
    if own and not isinstance(game, ChanceGame):
        compact = compact_search(
            game, evaluate, params, search_key, root=root, algorithm=algorithm, config=config,
            legal=legal, noise=noise, earlier=earlier,
        )  # fmt: skip
        children = of_all_actions(compact, game.num_actions, legal)
        decided = decide_with_bounds(algorithm, config, compact, children, noise, prior)
        result = SearchResult(
            actions=decided.decision.actions,
            policy=decided.decision.policy,
            visits=children.visits,
            qvalues=decided.qvalues,
            value=decided.value,
            raw_value=raw_value,
            raw_policy=prior,
            proven=decided.proven,
        )
        return result, compact
    tree_search: Callable[..., mctx.Tree] = (
        functools.partial(chance_tree_search, game, evaluate)
        if isinstance(game, ChanceGame)
        else functools.partial(mctx.search, recurrent_fn=_make_recurrent_fn(game, evaluate))
    )
    tree = tree_search(
        params,
        search_key,
        root=root,
        root_action_selection_fn=algorithm.select_at_root(config),
        interior_action_selection_fn=algorithm.select_below_root(config),
        num_simulations=config.num_simulations,
        max_depth=config.max_depth or config.num_simulations,
        # mctx masks what is illegal; selfplay masks what is legal. This is the one flip.
        invalid_actions=~legal,
        extra_data=noise,
    )
    decision = algorithm.decide(tree, noise, legal, config)
    visits = tree.children_visits[:, 0].astype(jnp.int32)
    qvalues = jnp.where(visits > 0, tree.qvalues(jnp.zeros(visits.shape[0], jnp.int32)), 0.0)
    value = algorithm.value(tree, decision.policy, prior, qvalues, raw_value)
    result = SearchResult(
        actions=decision.actions,
        policy=decision.policy,
        visits=visits,
        qvalues=qvalues,
        value=jnp.clip(value, -1.0, 1.0),
        raw_value=raw_value,
        raw_policy=prior,
        proven=jnp.zeros(visits.shape[0], jnp.bool_),
    )
    return result, tree


def _algorithm(config: SearchConfig) -> SearchAlgorithm:
    found = implementation(ALGORITHMS, config.algorithm)
    if not isinstance(found, SearchAlgorithm):
        raise TypeError(f"{config.algorithm} in ALGORITHMS is no SearchAlgorithm, but {found!r}")
    return found


def _make_recurrent_fn(game: Game[Any], evaluate: Evaluator) -> Callable[..., Any]:
    """Returns one step of the rules and one evaluation, as `mctx` wants them."""

    def recurrent_fn(
        params: PyTree, key: Key[Array, ""], actions: Array, positions: Position[Any]
    ) -> tuple[mctx.RecurrentFnOutput, Position[Any]]:
        transitions = jax.vmap(functools.partial(advance, game))(positions, actions)
        leaves = evaluate_leaves(game, evaluate, params, transitions, key=key)
        output = mctx.RecurrentFnOutput(
            reward=transitions.reward,
            discount=transitions.discount,
            prior_logits=leaves.prior_logits,
            value=leaves.value,
        )
        return output, transitions.position

    return recurrent_fn
