"""Gumbel AlphaZero: Sequential Halving at the root, completed Q values below it.

Danihelka et al., "Policy improvement by planning with Gumbel", 2022,
https://openreview.net/forum?id=bERaNdoegnO: section 3 for the root, section 4 for the improved
policy, section 5 for the other nodes.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import mctx
from jaxtyping import Array, Bool, Float32, Key

from selfplay.mcts.algorithm import (
    Decision,
    SearchAlgorithm,
    SelectAtRoot,
    SelectBelowRoot,
)
from selfplay.mcts.budgets import considered_visits
from selfplay.mcts.selection import (
    SearchNoise,
    best_with_tie_break,
    completed_value,
    improved_policy_scores,
    mask_logits,
)
from selfplay.settings.sections.search import SearchConfig


class _Gumbel(SearchAlgorithm):
    """As `mctx.gumbel_muzero_policy`, which however draws its noise itself.

    Its parts are put together here so that the noise can break ties when its scale is 0.
    """

    def root_gumbel(
        self,
        logits: Float32[Array, "B A"],
        tie_break: Float32[Array, "B A"],
        config: SearchConfig,
        *,
        key: Key[Array, ""],
    ) -> Float32[Array, "B A"]:
        gumbel = config.gumbel_scale * jax.random.gumbel(key, logits.shape)
        if config.root_temperature != 1:
            # Together with the logits it makes Gumbel variables of the flatter policy. The target
            # of training, which has no Gumbel noise, stays that of the network's own.
            gumbel += (1 / config.root_temperature - 1) * logits
        # Without Gumbel noise equal logits would always favour the lowest index. Larger than the
        # rounding of Q values that are as large as `value_scale` makes them.
        return gumbel + 1e-4 * tie_break

    def select_at_root(self, config: SearchConfig) -> SelectAtRoot:
        if config.scale_simulations:
            return _select_within_budget(config)
        return functools.partial(
            mctx.gumbel_muzero_root_action_selection,
            num_simulations=config.num_simulations,
            max_num_considered_actions=config.max_considered_actions,
            qtransform=_qtransform(config),
        )

    def select_below_root(self, config: SearchConfig) -> SelectBelowRoot:
        qtransform = _qtransform(config)

        def select(key: Array, tree: mctx.Tree, node: Array, depth: Array) -> Array:
            del key, depth
            scores = improved_policy_scores(tree, node, qtransform)
            return best_with_tie_break(scores, tree.extra_data.tie_break)

        return select

    def decide(
        self,
        tree: mctx.Tree,
        noise: SearchNoise,
        legal: Bool[Array, "B A"],
        config: SearchConfig,
    ) -> Decision:
        visits = tree.children_visits[:, 0]
        completed = jax.vmap(_qtransform(config), in_axes=(0, None))(tree, 0)
        logits = tree.children_prior_logits[:, 0]
        # The move is the best of the most visited actions, by Gumbel + logit + Q.
        finalist = legal & (visits == visits.max(axis=-1, keepdims=True))
        scores = jnp.where(finalist, noise.root_gumbel + logits + completed, -jnp.inf)
        return Decision(
            actions=jnp.argmax(scores, axis=-1).astype(jnp.int32),
            policy=jax.nn.softmax(mask_logits(logits + completed, legal)),
        )

    def value(
        self,
        tree: mctx.Tree,
        policy: Float32[Array, "B A"],
        prior: Float32[Array, "B A"],
        qvalues: Float32[Array, "B A"],
        raw_value: Float32[Array, " B"],
    ) -> Float32[Array, " B"]:
        visits = tree.children_visits[:, 0].astype(jnp.int32)
        return jax.vmap(completed_value)(policy, prior, qvalues, visits, raw_value)


def _qtransform(config: SearchConfig) -> Callable[..., Array]:
    return functools.partial(
        mctx.qtransform_completed_by_mix_value,
        value_scale=config.value_scale,
        maxvisit_init=config.maxvisit_init,
        rescale_values=config.rescale_values,
    )


def _select_within_budget(config: SearchConfig) -> SelectAtRoot:
    """Returns what `mctx` selects at a root, for trees that have budgets of their own."""
    qtransform = _qtransform(config)

    def select(key: Array, tree: mctx.Tree, node: Array) -> Array:
        del key
        noise, visits = tree.extra_data, tree.children_visits[node]
        legal = ~tree.root_invalid_actions
        considered = jnp.minimum(config.max_considered_actions, legal.sum())
        wanted = considered_visits(
            considered, noise.budgets, visits.sum(), most_considered=config.max_considered_actions
        )
        scores = noise.root_gumbel + tree.children_prior_logits[node] + qtransform(tree, node)
        return jnp.argmax(jnp.where(legal & (visits == wanted), scores, -jnp.inf))

    return select


GUMBEL = _Gumbel()
