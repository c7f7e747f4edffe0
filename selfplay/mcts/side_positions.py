"""Side positions: what a search found out about a position that the match does not reach.

Every search evaluates positions beside the match. The position behind the second most visited move
has often been searched nearly as well as the one that is played next. Its value and its policy are
one more target of training, of a position that no match may ever show. KataGo learns from "side
positions", too, but searches them anew: Wu, "Other methods implemented in KataGo",
https://github.com/lightvector/KataGo/blob/master/docs/KataGoMethods.md. Values of inner nodes as
targets: Veness et al., "Bootstrapping from game tree search", 2009.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32

from selfplay.game import pytree
from selfplay.mcts.algorithm import SearchAlgorithm
from selfplay.mcts.compact_tree import ROOT, CompactTree, as_mctx, children_of
from selfplay.mcts.selection import SearchNoise
from selfplay.settings.sections.search import SearchConfig

FEWEST_VISITS = 4
"""Of a side position: with fewer, its value is little more than the network's own."""


@pytree
class SidePositions:
    """One position beside the match for each of `B` searches.

    Attributes:
        actions: the move that leads to it; -1 where there is none.
        values: after the search, in [-1, 1], for the player to move in the side position; 0 where
            there is none.
        policies: the improved policy there; each row sums to 1, to 0 where there is none.
    """

    actions: Int32[Array, " B"]
    values: Float32[Array, " B"]
    policies: Float32[Array, "B A"]


def no_side_positions(batch: int, num_actions: int) -> SidePositions:
    """Returns that there are none, as after searches without a tree."""
    return SidePositions(
        actions=jnp.full(batch, -1, jnp.int32),
        values=jnp.zeros(batch, jnp.float32),
        policies=jnp.zeros((batch, num_actions), jnp.float32),
    )


def side_positions(
    algorithm: SearchAlgorithm,
    config: SearchConfig,
    tree: CompactTree,
    played: Int32[Array, " B"],
    num_actions: int,
) -> SidePositions:
    """Returns the position behind the most visited move that is not played.

    There is none where all such moves end the match or have fewer than `FEWEST_VISITS` visits.

    Args:
        algorithm: makes the policy.
        config: of the search.
        tree: what it has grown.
        played: the moves that are played.
        num_actions: of the game.
    """
    rows = jnp.arange(played.shape[0])
    moves = children_of(tree, jnp.full_like(played, ROOT))
    places = jnp.broadcast_to(jnp.arange(moves.visits.shape[1]), moves.visits.shape)
    actions = places if tree.actions is None else tree.actions[:, ROOT].astype(jnp.int32)
    nodes = jnp.maximum(tree.children[:, ROOT].astype(jnp.int32), ROOT)
    over = jnp.take_along_axis(tree.over, nodes, axis=1)
    visits = jnp.where((actions == played[:, None]) | over, 0, moves.visits)
    chosen = jnp.argmax(visits, axis=1)
    found = visits[rows, chosen] >= FEWEST_VISITS
    node = nodes[rows, chosen]
    children = children_of(tree, node)
    silence = jnp.zeros(children.visits.shape, jnp.float32)
    noise = SearchNoise(root_gumbel=silence, tie_break=silence)
    values = tree.values[rows, node]
    view = as_mctx(children, children.legal, values, tree.raw_values[rows, node], noise)
    policy = algorithm.decide(view, noise, children.legal, config).policy
    if tree.actions is not None:
        full = jnp.zeros((len(rows), num_actions), policy.dtype)
        policy = full.at[rows[:, None], tree.actions[rows, node].astype(jnp.int32)].add(policy)
    return SidePositions(
        actions=jnp.where(found, actions[rows, chosen], -1).astype(jnp.int32),
        values=jnp.where(found, values, 0.0),
        policies=jnp.where(found[:, None], policy, 0.0),
    )
