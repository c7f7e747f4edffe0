"""Formulas of the search: scores of actions, root noise, and the choice of the move.

Functions of a tree take one tree: `mctx.search` adds the batch axis. Values and Q values are in
[-1, 1], for the player to move at the node.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import mctx
from jaxtyping import Array, Bool, Float, Float32, Int32, Key

from selfplay.game import pytree
from selfplay.settings.sections.search import SearchConfig

ILLEGAL_LOGIT = -1e9
"""Of an action that may not be selected: finite, so that no softmax over it is NaN."""


@pytree
class SearchNoise:
    """Random numbers drawn once per search, kept beside its tree.

    Attributes:
        root_gumbel: Gumbel noise of the root actions; read by `mctx` under this name.
        tie_break: uniform in [0, 1); orders actions that score alike, so that no index wins.
        budgets: not random: the simulations of each search; None where all have equally many.
    """

    root_gumbel: Float32[Array, "B A"]
    tie_break: Float32[Array, "B A"]
    budgets: Int32[Array, " B"] | None = None


def mask_logits(logits: Float32[Array, "B A"], legal: Bool[Array, "B A"]) -> Float32[Array, "B A"]:
    """Returns logits whose softmax is 0 on illegal actions, shifted to a maximum of 0.

    Illegal actions get a finite floor, not -inf: a terminal row has no legal action, and a softmax
    over -inf alone is NaN.
    """
    highest = jnp.max(jnp.where(legal, logits, ILLEGAL_LOGIT), axis=-1, keepdims=True)
    return jnp.where(legal, jnp.maximum(logits - highest, ILLEGAL_LOGIT / 2), ILLEGAL_LOGIT)


def is_legal_logit(logits: Float32[Array, "..."]) -> Bool[Array, "..."]:
    """Returns whether logits of `mask_logits` are those of legal actions."""
    return logits > 0.75 * ILLEGAL_LOGIT


def add_dirichlet_noise(
    logits: Float32[Array, "B A"],
    legal: Bool[Array, "B A"],
    *,
    alpha: float,
    fraction: float,
    key: Key[Array, ""],
) -> Float32[Array, "B A"]:
    """Returns root logits mixed with Dirichlet noise over the legal actions alone.

    `mctx.muzero_policy` draws the noise over all actions and masks it afterwards: with few legal
    actions, almost none of the noise is left. Here the total concentration `alpha` is divided
    evenly among the legal actions of each position, as in KataGo. Silver et al., "Mastering chess
    and shogi by self-play with a general reinforcement learning algorithm", 2017, choose one
    concentration for each game, in inverse proportion to its typical number of legal moves.

    Args:
        logits: masked by `mask_logits`.
        legal: True where legal; at least one in each row.
        alpha: total concentration, above 0.
        fraction: share of noise, in [0, 1].
        key: consumed.
    """
    concentration = alpha / jnp.maximum(legal.sum(axis=-1, keepdims=True), 1)
    # In logarithms: a gamma variable of small concentration is often 0 in float32.
    log_gamma = jax.random.loggamma(key, jnp.broadcast_to(concentration, logits.shape))
    noise = jax.nn.softmax(jnp.where(legal, log_gamma, ILLEGAL_LOGIT), where=legal, axis=-1)
    mixed = (1 - fraction) * jax.nn.softmax(logits) + fraction * noise
    return jnp.where(legal, jnp.log(jnp.maximum(mixed, 1e-30)), ILLEGAL_LOGIT)


def puct_scores(
    tree: mctx.Tree, node: Int32[Array, ""], config: SearchConfig
) -> Float[Array, " A"]:
    """Returns the PUCT score of each action of one node, far below any other where illegal.

    Silver et al., "A general reinforcement learning algorithm that masters chess, shogi and Go
    through self-play", 2018, supplement, "Search". An unvisited action counts as the node's
    value less `fpu_reduction` times the square root of the prior mass visited so far (Wu,
    "Accelerating self-play learning in Go", 2019, section 2). The node's own evaluation counts
    as a visit, so that the prior decides between actions that are all unvisited.
    """
    visits = tree.children_visits[node]
    logits = tree.children_prior_logits[node]
    prior = jax.nn.softmax(logits)
    total = visits.sum()
    visited_mass = jnp.sum(jnp.where(visits > 0, prior, 0.0))
    unvisited_value = tree.node_values[node] - config.fpu_reduction * jnp.sqrt(visited_mass)
    values = jnp.where(visits > 0, tree.qvalues(node), jnp.maximum(unvisited_value, -1.0))
    exploration = _exploration(prior, total, config) / (visits + 1)
    return _legal_first(values + exploration, logits, visits)


def _exploration(
    prior: Float[Array, " A"], total: Int32[Array, ""], config: SearchConfig
) -> Float[Array, " A"]:
    """Returns what PUCT adds to the value of each action that was never visited."""
    growth = jnp.log((total + config.puct_base + 1) / config.puct_base)
    return (config.puct_constant + growth) * prior * jnp.sqrt(total + 1)


def forced_visits(
    tree: mctx.Tree, node: Int32[Array, ""], config: SearchConfig
) -> Float[Array, " A"]:
    """Returns how many visits each action of a node has at least, once it has any.

    Wu, "Accelerating self-play learning in Go", 2019, section 3.2, equation for n_forced.
    """
    prior = jax.nn.softmax(tree.children_prior_logits[node])
    return jnp.sqrt(config.forced_playouts * prior * tree.children_visits[node].sum())


def pruned_visits(
    tree: mctx.Tree, node: Int32[Array, ""], config: SearchConfig
) -> Float[Array, " A"]:
    """Returns the visits of the actions of a node less those that only exploration led to.

    Policy target pruning: Wu, 2019, section 3.2. Of each action but the most visited one, at most
    the forced visits are taken away, as long as its PUCT score stays below that of the most visited
    one. An action that is left with one visit loses that too.
    """
    visits = tree.children_visits[node].astype(jnp.float32)
    prior = jax.nn.softmax(tree.children_prior_logits[node])
    values = tree.qvalues(node)
    bonus = _exploration(prior, tree.children_visits[node].sum(), config)
    best = jnp.argmax(visits)
    ahead = values[best] + bonus[best] / (visits[best] + 1) - values
    # Where an action is not behind, nothing is taken away.
    enough = jnp.where(ahead > 0, jnp.ceil(bonus / jnp.maximum(ahead, 1e-6) - 1), visits)
    least = jnp.maximum(enough, visits - jnp.floor(forced_visits(tree, node, config)))
    left = jnp.minimum(visits, jnp.maximum(least, 0.0))
    return jnp.where(jnp.arange(visits.shape[0]) == best, visits, jnp.where(left > 1, left, 0.0))


def uct_scores(tree: mctx.Tree, node: Int32[Array, ""], config: SearchConfig) -> Float[Array, " A"]:
    """Returns the UCB1 score of each action of one node, far below any other where illegal.

    Kocsis and Szepesvari, "Bandit based Monte-Carlo planning", 2006, section 2. Unvisited actions
    score higher than visited ones.
    """
    visits = tree.children_visits[node]
    total = jnp.maximum(visits.sum(), 1)
    width = jnp.sqrt(jnp.log(total) / jnp.maximum(visits, 1))
    scores = jnp.where(visits > 0, tree.qvalues(node) + config.puct_constant * width, 1e3)
    return _legal_first(scores, tree.children_prior_logits[node], visits)


def improved_policy_scores(
    tree: mctx.Tree, node: Int32[Array, ""], qtransform: Callable[..., Array]
) -> Float[Array, " A"]:
    """Returns Gumbel's score of each action of one inner node, far below any other where illegal.

    The visit counts follow the improved policy as closely as whole numbers can: Danihelka et al.,
    "Policy improvement by planning with Gumbel", 2022, section 5. This is the score of
    `mctx.gumbel_muzero_interior_action_selection`, which however selects the first of several
    equal actions, so that an untrained network would prefer low indices everywhere.
    """
    visits = tree.children_visits[node]
    logits = tree.children_prior_logits[node]
    policy = jax.nn.softmax(logits + qtransform(tree, node))
    return _legal_first(policy - visits / (1 + visits.sum()), logits, visits)


def _legal_first(
    scores: Float[Array, " A"], logits: Float[Array, " A"], visits: Int32[Array, " A"]
) -> Float[Array, " A"]:
    """Returns the scores, with those of illegal actions below all others.

    In an ended match no action is legal. There the least visited action scores highest, so that
    repeated visits spread over the children. If it were always the same action, each visit would
    add a node to one chain, and the whole batch would wait for walks down that chain.
    """
    return jnp.where(is_legal_logit(logits), scores, -1e6 - visits)


def best_with_tie_break(
    scores: Float[Array, " A"], tie_break: Float32[Array, " A"]
) -> Int32[Array, ""]:
    """Returns the highest score; among those within 1e-6 of it the highest `tie_break`."""
    nearly_best = scores >= scores.max() - 1e-6
    return jnp.argmax(jnp.where(nearly_best, tie_break, -1.0)).astype(jnp.int32)


def completed_value(
    policy: Float32[Array, " A"],
    prior: Float32[Array, " A"],
    qvalues: Float32[Array, " A"],
    visits: Int32[Array, " A"],
    raw_value: Float32[Array, ""],
) -> Float32[Array, ""]:
    """Returns the value of a position under the improved policy, for the player to move.

    Unvisited actions count with the mixed value of Danihelka et al., "Policy improvement by
    planning with Gumbel", 2022, appendix D. The mean over all visits would be too low, because
    Sequential Halving visits bad actions as often as good ones at first.

    Args:
        policy: the improved policy; sums to 1.
        prior: the evaluator's own policy over the legal actions.
        qvalues: in [-1, 1]; those of unvisited actions are ignored.
        visits: of each action.
        raw_value: the evaluator's own value, in [-1, 1].
    """
    visited = visits > 0
    weight = jnp.where(visited, jnp.maximum(prior, 1e-30), 0.0)
    mean = jnp.sum(weight * qvalues) / jnp.maximum(weight.sum(), 1e-30)
    total = visits.sum()
    mixed = (raw_value + total * mean) / (total + 1)
    return jnp.sum(policy * jnp.where(visited, qvalues, mixed))


def sampling_probabilities(
    policy: Float32[Array, "B A"], config: SearchConfig
) -> Float32[Array, "B A"]:
    """Returns the probabilities with which an opening move is drawn from `policy`.

    `policy ** (1 / temperature)`, cut to the likeliest actions that together hold
    `sampling_share` of `policy`, then normalised.
    """
    order = jnp.argsort(-policy, axis=-1)
    ordered = jnp.take_along_axis(policy, order, axis=-1)
    mass_before = jnp.cumsum(ordered, axis=-1) - ordered
    rank = jnp.argsort(order, axis=-1)
    kept = jnp.take_along_axis(mass_before < config.sampling_share, rank, axis=-1)
    logits = jnp.where(
        kept & (policy > 0), jnp.log(jnp.maximum(policy, 1e-30)) / config.temperature, ILLEGAL_LOGIT
    )
    return jax.nn.softmax(logits)
