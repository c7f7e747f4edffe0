"""Games that are nothing but a small random tree, and their exact values by brute force."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, Key, UInt32

from selfplay.game import Game, Position, pytree

_RESULTS = (-1.0, 1.0, 0.0, 1.0, -1.0, 0.5, -0.25)


@pytree
class Place:
    """A node of a tree: `node` counts breadth-first, `seed` says which tree it is."""

    seed: UInt32[Array, ""]
    node: Int32[Array, ""]


class RandomTree(Game[Place]):
    """Every first position is another game: who moves, what is legal, ends and results are random.

    The same player often moves twice, results are not only wins, draws and losses, and matches
    are cut one ply before their last end.
    """

    name = "random_tree"
    num_actions = 3
    max_plies = 4

    def init(self, key: Key[Array, ""]) -> Place:
        """Returns the root of a random tree."""
        return Place(seed=jax.random.bits(key, (), jnp.uint32), node=jnp.int32(0))

    def _random(self, state: Place, what: int) -> UInt32[Array, ""]:
        mixed = state.seed ^ (state.node.astype(jnp.uint32) * jnp.uint32(2654435769) + what)
        for factor in (0x7FEB352D, 0x846CA68B):
            mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(factor)
        return mixed ^ (mixed >> 16)

    def step(self, state: Place, action: Int32[Array, ""]) -> Place:
        """Returns the child."""
        return Place(seed=state.seed, node=(3 * state.node + 1 + action).astype(jnp.int32))

    def current_player(self, state: Place) -> Int32[Array, ""]:
        """Returns who is to move."""
        return (self._random(state, 1) % 2).astype(jnp.int32)

    def legal_action_mask(self, state: Place) -> Bool[Array, "3"]:
        """Returns one to three actions."""
        bits = self._random(state, 2)
        return ((bits >> jnp.arange(3, dtype=jnp.uint32)) % 2 == 1) | (
            jnp.arange(3) == (bits >> 8) % 3
        )

    def is_terminal(self, state: Place) -> Bool[Array, ""]:
        """Returns whether it is a leaf; the root is none."""
        return (state.node > 0) & (self._random(state, 3) % 5 == 0)

    def returns(self, state: Place) -> Float32[Array, "2"]:
        """Returns a random result, of any state."""
        result = jnp.array(_RESULTS, jnp.float32)[self._random(state, 4) % len(_RESULTS)]
        return jnp.stack([result, -result])

    def observe(self, state: Place) -> Float32[Array, "2"]:
        """Returns two random numbers."""
        return jnp.stack([self._random(state, what) % 1000 / 1000 for what in (5, 6)]).astype(
            jnp.float32
        )


def exact_values(game: RandomTree, positions: Position[Any]) -> np.ndarray:
    """Returns the values [B, nodes] of all nodes of trees, for the player to move there.

    Args:
        game: the rules.
        positions: the roots.
    """
    first_of_level = [(3**level - 1) // 2 for level in range(game.max_plies + 2)]
    nodes = jnp.arange(first_of_level[-1])

    def look(seed: Array, node: Array) -> Any:
        place = Place(seed=seed, node=node)
        return (
            game.current_player(place),
            game.legal_action_mask(place),
            game.is_terminal(place),
            game.returns(place)[0],
        )

    seeds = positions.state.seed
    found = jax.jit(jax.vmap(jax.vmap(look, (None, 0)), (0, None)))(seeds, nodes)
    players, legal, terminal, results = (np.asarray(part) for part in found)
    # For player 0, from the last level to the first.
    for_first = results.copy()
    for node in range(first_of_level[-2] - 1, -1, -1):
        children = for_first[:, 3 * node + 1 : 3 * node + 4]
        highest = np.where(legal[:, node], children, -2).max(axis=1)
        lowest = np.where(legal[:, node], children, 2).min(axis=1)
        best = np.where(players[:, node] == 0, highest, lowest)
        for_first[:, node] = np.where(terminal[:, node], results[:, node], best)
    return np.where(players == 0, for_first, -for_first)
