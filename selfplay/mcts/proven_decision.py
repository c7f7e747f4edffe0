"""What follows from a search that knows bounds: the move, the policy target and the value."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32

from selfplay.game import pytree
from selfplay.mcts.algorithm import Decision, SearchAlgorithm
from selfplay.mcts.bounds import dominated
from selfplay.mcts.compact_tree import ROOT, Children, CompactTree, as_mctx
from selfplay.mcts.selection import SearchNoise
from selfplay.settings.sections.search import SearchConfig


@pytree
class BoundedDecision:
    """What a search of `B` positions decides, and what it knows for certain.

    Attributes:
        decision: moves and policies.
        qvalues: of the actions, within their bounds; 0 where nothing is known.
        value: of the position, within its bounds, for the player to move.
        proven: whether the bounds meet, so that the value is exact.
    """

    decision: Decision
    qvalues: Float32[Array, "B A"]
    value: Float32[Array, " B"]
    proven: Bool[Array, " B"]


def decide_with_bounds(
    algorithm: SearchAlgorithm,
    config: SearchConfig,
    tree: CompactTree,
    children: Children,
    noise: SearchNoise,
    prior: Float32[Array, "B A"],
) -> BoundedDecision:
    """Returns what `algorithm` decides among the actions that no other one dominates.

    So a proven win has all of the policy, and proven losses none, unless all moves lose: then the
    policy is what the search thought, and the move the one that took most visits to refute. The
    move is none whose estimate lies below what another move is certain to give.

    Args:
        algorithm: of the search.
        config: likewise.
        tree: grown.
        children: all actions of the roots.
        noise: of the roots' actions.
        prior: the evaluator's own policy, without noise.
    """
    lower, upper = tree.bounds.lower[:, ROOT], tree.bounds.upper[:, ROOT]
    bounds = children.bounds
    known = (children.visits > 0) | (children.legal & bounds.decided)
    qvalues = jnp.where(known, jnp.clip(children.qvalues, bounds.lower, bounds.upper), 0.0)
    among = children.legal
    if config.proven != "off":
        among &= ~dominated(bounds, children.legal, lower)
        # What is decided has been seen, even if no simulation passed through it.
        visits = jnp.maximum(children.visits, known.astype(jnp.int32))
        children = dataclasses.replace(children, visits=visits, qvalues=qvalues)
    raw_value = tree.raw_values[:, ROOT]
    view = as_mctx(children, among, tree.values[:, ROOT], raw_value, noise)
    decision = algorithm.decide(view, noise, among, config)
    value = algorithm.value(view, decision.policy, prior, qvalues, raw_value)
    if config.proven != "off":
        certain = among & ((bounds.lower == lower[:, None]) | (qvalues >= lower[:, None]))
        sure_view = as_mctx(children, certain, tree.values[:, ROOT], raw_value, noise)
        sure = algorithm.decide(sure_view, noise, certain, config)
        decision = (
            sure
            if algorithm.policy_is_visits
            else dataclasses.replace(decision, actions=sure.actions)
        )
    return BoundedDecision(
        decision=decision,
        qvalues=qvalues,
        value=jnp.clip(value, lower, upper),
        proven=lower == upper,
    )
