"""Random matches of a batch of a game, for tests that look at every ply."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.game import ChanceGame, Game, Position, advance, draw_outcome, is_over, start


class Played:
    """One ply of `B` matches, on the host, before the actions are played.

    Attributes:
        states: `B` states, as device arrays.
        mask, player, over, returns, observation: what the game says of each.
        actions: legal where the match is not over.
    """

    def __init__(self, states: Any, seen: dict[str, Any]) -> None:
        self.states = states
        self.mask: np.ndarray = seen["mask"]
        self.player: np.ndarray = seen["player"]
        self.over: np.ndarray = seen["over"]
        self.returns: np.ndarray = seen["returns"]
        self.observation: np.ndarray = seen["observation"]
        self.actions: np.ndarray = seen["action"]


def play_randomly(game: Game[Any], num_matches: int, seed: int = 0) -> Iterator[Played]:
    """Yields every ply of `num_matches` random matches at once, until all are over."""
    begin, play = _programs(game)
    positions = begin(jax.random.split(jax.random.key(seed), num_matches))
    for number in range(game.max_plies + 1):
        keys = jax.random.split(jax.random.key(1000 * (seed + 1) + number), num_matches)
        states = positions.state
        positions, seen = play(positions, keys)
        seen = jax.device_get(seen)
        yield Played(states, seen)
        if seen["over"].all():
            return
    raise AssertionError(f"a match is not over after {game.max_plies} plies")


@functools.lru_cache(maxsize=16)
def _programs(game: Game[Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Returns what begins matches and what plays a ply of them; traced once for a game."""

    def ply(position: Position[Any], key: jax.Array) -> tuple[Position[Any], dict[str, Any]]:
        mask = game.legal_action_mask(position.state)
        if isinstance(game, ChanceGame):
            key, chance_key = jax.random.split(key)
        noise = jax.random.uniform(key, mask.shape)
        action = jnp.argmax(jnp.where(mask, noise, -1.0)).astype(jnp.int32)
        seen = {
            "mask": mask,
            "player": game.current_player(position.state),
            "over": is_over(game, position),
            "returns": game.returns(position.state),
            "observation": game.observe(position.state),
            "action": action,
        }
        if isinstance(game, ChanceGame):
            outcome = draw_outcome(game, position, action, key=chance_key)
            return advance(game, position, action, outcome).position, seen
        return advance(game, position, action).position, seen

    return jax.jit(jax.vmap(functools.partial(start, game))), jax.jit(jax.vmap(ply))


def breadth_first(game: Game[Any], depth: int, *, distinct: bool, chunk: int) -> list[int]:
    """Returns how many positions stand at plies 0 to `depth`: distinct ones, or all paths.

    States are flattened to bytes on the host between plies; `chunk` positions are expanded at
    once, so that everything compiles once.
    """
    initial = game.init(jax.random.key(0))
    leaves, structure = jax.tree.flatten(initial)

    @jax.jit
    @jax.vmap
    def expand(state: Any) -> tuple[Any, Any]:
        children = jax.vmap(lambda action: game.step(state, action))(
            jnp.arange(game.num_actions, dtype=jnp.int32)
        )
        return children, game.legal_action_mask(state) & ~game.is_terminal(state)

    frontier = [np.asarray(leaf)[None] for leaf in leaves]
    counts = [1]
    for _ in range(depth):
        found: list[list[np.ndarray]] = []
        for begin in range(0, len(frontier[0]), chunk):
            part = [leaf[begin : begin + chunk] for leaf in frontier]
            size = len(part[0])
            padded = [np.resize(leaf, (chunk, *leaf.shape[1:])) for leaf in part]
            children, legal = jax.device_get(expand(jax.tree.unflatten(structure, padded)))
            keep = legal[:size]
            found.append([leaf[:size][keep] for leaf in jax.tree.leaves(children)])
        frontier = [np.concatenate(parts) for parts in zip(*found, strict=True)]
        if distinct:
            rows = np.concatenate(
                [leaf.reshape(len(leaf), -1).astype(np.int64) for leaf in frontier], axis=1
            )
            _, first = np.unique(rows, axis=0, return_index=True)
            frontier = [leaf[first] for leaf in frontier]
        counts.append(len(frontier[0]))
    return counts
