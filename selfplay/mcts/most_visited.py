"""Search with the same rule at every node, after which the most visited root action is played.

PUCT is the search of AlphaZero (Silver et al., "A general reinforcement learning algorithm that
masters chess, shogi, and Go through self-play", 2018), UCT the classic one (Kocsis and Szepesvari,
"Bandit based Monte-Carlo planning", 2006).
"""

import abc

import jax
import jax.numpy as jnp
import mctx
from jaxtyping import Array, Bool, Float, Float32, Key

from selfplay.mcts.algorithm import (
    Decision,
    SearchAlgorithm,
    SelectAtRoot,
    SelectBelowRoot,
)
from selfplay.mcts.selection import (
    SearchNoise,
    add_dirichlet_noise,
    best_with_tie_break,
    forced_visits,
    pruned_visits,
    puct_scores,
    uct_scores,
)
from selfplay.settings.sections.search import SearchConfig

_FIRST = 1e3
"""A score above all that PUCT gives."""


class MostVisited(SearchAlgorithm):
    """Selects the action with the highest score; plays, and learns from, the visits of the root.

    Ties are broken by noise drawn once per search. `mctx.muzero_action_selection` draws at every
    step of every walk, which more than doubles the cost of a search.
    """

    policy_is_visits = True

    @abc.abstractmethod
    def scores(self, tree: mctx.Tree, node: Array, config: SearchConfig) -> Float[Array, " A"]:
        """Returns the score of each action of a node of one tree, lowest where it is illegal."""

    def root_scores(self, tree: mctx.Tree, node: Array, config: SearchConfig) -> Float[Array, " A"]:
        """Returns the same for the root of one tree."""
        return self.scores(tree, node, config)

    def root_visits(self, tree: mctx.Tree, config: SearchConfig) -> Float[Array, "B A"]:
        """Returns the visits of the roots' actions that are learnt from."""
        return tree.children_visits[:, 0].astype(jnp.float32)

    def select_at_root(self, config: SearchConfig) -> SelectAtRoot:
        def select(key: Array, tree: mctx.Tree, node: Array) -> Array:
            del key
            scores = self.root_scores(tree, node, config)
            return best_with_tie_break(scores, tree.extra_data.tie_break)

        return select

    def select_below_root(self, config: SearchConfig) -> SelectBelowRoot:
        def select(key: Array, tree: mctx.Tree, node: Array, depth: Array) -> Array:
            del key, depth
            return best_with_tie_break(self.scores(tree, node, config), tree.extra_data.tie_break)

        return select

    def decide(
        self,
        tree: mctx.Tree,
        noise: SearchNoise,
        legal: Bool[Array, "B A"],
        config: SearchConfig,
    ) -> Decision:
        visits = self.root_visits(tree, config)
        total = visits.sum(axis=-1, keepdims=True)
        # In a tree that keeps few actions, all that were visited may be proven losses.
        prior = jax.nn.softmax(tree.children_prior_logits[:, 0])
        policy = jnp.where(total > 0, visits / jnp.maximum(total, 1), prior)
        return Decision(
            actions=jax.vmap(best_with_tie_break)(policy, noise.tie_break),
            policy=policy.astype(jnp.float32),
        )

    def value(
        self,
        tree: mctx.Tree,
        policy: Float32[Array, "B A"],
        prior: Float32[Array, "B A"],
        qvalues: Float32[Array, "B A"],
        raw_value: Float32[Array, " B"],
    ) -> Float32[Array, " B"]:
        return tree.node_values[:, 0]


class _Puct(MostVisited):
    """PUCT, with a temperature of the root prior, Dirichlet noise in it, and forced playouts."""

    def root_logits(
        self,
        logits: Float32[Array, "B A"],
        legal: Bool[Array, "B A"],
        config: SearchConfig,
        *,
        key: Key[Array, ""],
    ) -> Float32[Array, "B A"]:
        if config.root_temperature != 1:
            # The floor of illegal actions must stay where it is.
            logits = jnp.where(legal, logits / config.root_temperature, logits)
        if config.dirichlet_fraction == 0:
            return logits
        return add_dirichlet_noise(
            logits,
            legal,
            alpha=config.dirichlet_alpha,
            fraction=config.dirichlet_fraction,
            key=key,
        )

    def scores(self, tree: mctx.Tree, node: Array, config: SearchConfig) -> Float[Array, " A"]:
        return puct_scores(tree, node, config)

    def root_scores(self, tree: mctx.Tree, node: Array, config: SearchConfig) -> Float[Array, " A"]:
        scores = puct_scores(tree, node, config)
        if config.forced_playouts == 0:
            return scores
        visits = tree.children_visits[node]
        due = (visits > 0) & (visits < forced_visits(tree, node, config))
        return jnp.where(due, _FIRST, scores)

    def root_visits(self, tree: mctx.Tree, config: SearchConfig) -> Float[Array, "B A"]:
        if config.forced_playouts == 0:
            return super().root_visits(tree, config)
        return jax.vmap(lambda one: pruned_visits(one, jnp.int32(0), config))(tree)


class _Uct(MostVisited):
    """UCB1 at every node."""

    def scores(self, tree: mctx.Tree, node: Array, config: SearchConfig) -> Float[Array, " A"]:
        return uct_scores(tree, node, config)


PUCT = _Puct()
UCT = _Uct()
