"""Whole turns of backgammon, for comparison with generators that know turns alone."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.game import Position, advance, draw_outcome, random_legal_action, start

CHUNK = 512
Board = tuple[int, ...]


def turn_results(game: Any, states: Any) -> list[set[Board]]:
    """Returns for each state at the start of a turn the boards to which the turn may lead.

    A board is what the mover sees: the opponent's bar (negative), the mover's points 1 to 24
    (the opponent's checkers negative), the mover's bar.
    """

    @jax.jit
    @jax.vmap
    def expand(state: Any) -> tuple[Any, Any]:
        actions = jnp.arange(game.num_actions, dtype=jnp.int32)
        children = jax.vmap(lambda action: game.step(state, action))(actions)
        return children, game.legal_action_mask(state)

    leaves, structure = jax.tree.flatten(jax.device_get(states))
    movers = leaves_of(states, "player")
    found: list[set[Board]] = [set() for _ in movers]
    frontier = leaves
    pairs = np.arange(len(movers))
    while len(pairs):
        next_parts: list[list[np.ndarray]] = []
        next_pairs: list[np.ndarray] = []
        for begin in range(0, len(pairs), CHUNK):
            part = [leaf[begin : begin + CHUNK] for leaf in frontier]
            size = len(part[0])
            padded = [np.resize(leaf, (CHUNK, *leaf.shape[1:])) for leaf in part]
            children, legal = jax.device_get(expand(jax.tree.unflatten(structure, padded)))
            keep = legal[:size]
            next_parts.append([leaf[:size][keep] for leaf in jax.tree.leaves(children)])
            next_pairs.append(np.repeat(pairs[begin : begin + size], keep.sum(axis=1)))
        frontier = [np.concatenate(parts) for parts in zip(*next_parts, strict=True)]
        pairs = np.concatenate(next_pairs)
        # What several orders of play reach is expanded once.
        rows = np.concatenate(
            [pairs[:, None], *(leaf.reshape(len(leaf), -1) for leaf in frontier)], axis=1
        )
        _, first = np.unique(rows, axis=0, return_index=True)
        frontier, pairs = [leaf[first] for leaf in frontier], pairs[first]
        state = jax.tree.unflatten(structure, frontier)
        ended = (state.dice == 0).all(axis=1)
        for row in np.flatnonzero(ended):
            mover = int(movers[pairs[row]])
            found[pairs[row]].add(board_of(state.points[row], state.bar[row], mover))
        frontier, pairs = [leaf[~ended] for leaf in frontier], pairs[~ended]
    return found


def board_of(points: Any, bar: Any, mover: int) -> Board:
    """Returns the board as the mover sees it."""
    seen = points if mover == 0 else -points[::-1]
    return (-int(bar[1 - mover]), *(int(count) for count in seen), int(bar[mover]))


def leaves_of(states: Any, name: str) -> np.ndarray:
    """Returns one field of batched states on the host."""
    return np.asarray(getattr(states, name))


def played_states(game: Any, count: int, *, seed: int) -> Any:
    """Returns positions of random matches, each with a fresh random roll."""
    matches = 64
    plies = -(-count // matches) * 3

    def ply(position: Any, key: jax.Array) -> tuple[Any, Any]:
        action_key, outcome_key, start_key = jax.random.split(key, 3)
        action = random_legal_action(game, position.state, key=action_key)
        outcome = draw_outcome(game, position, action, key=outcome_key)
        after = advance(game, position, action, outcome)
        fresh = start(game, start_key)
        following: Position[Any] = jax.tree.map(
            lambda new, old: jnp.where(after.over, new, old), fresh, after.position
        )
        return following, position.state

    def play(key: jax.Array) -> Any:
        start_key, key = jax.random.split(key)
        keys = jax.random.split(key, plies)
        return jax.lax.scan(ply, start(game, start_key), keys)[1]

    keys = jax.random.split(jax.random.key(seed), matches)
    states = jax.jit(jax.vmap(play))(keys)
    # Every third ply, so that neighbours differ.
    states = jax.tree.map(lambda leaf: leaf[:, ::3].reshape(-1, *leaf.shape[2:])[:count], states)
    return rolled(game, states, seed)


def scattered_states(game: Any, count: int, *, seed: int) -> Any:
    """Returns boards thrown together: many blots, bars and bearing off, few checkers left."""
    random = np.random.default_rng(seed)
    points = np.zeros((count, 24), np.int8)
    bar = np.zeros((count, 2), np.int8)
    for row in range(count):
        reach = random.choice([6, 8, 12, 24])
        for side in (1, -1):
            for _ in range(random.integers(1, 14)):
                place = int(random.integers(0, reach))
                index = place if side == 1 else 23 - place
                if points[row, index] * side >= 0:
                    points[row, index] += side
            if random.random() < 0.2:
                bar[row, 0 if side == 1 else 1] = random.integers(1, 3)
    some = game.init(jax.random.key(0))
    # Points, bar, dice, repeats, player: in the order of the fields, past the checked constructor.
    states = jax.tree.unflatten(
        jax.tree.structure(some),
        [
            jnp.asarray(points),
            jnp.asarray(bar),
            jnp.zeros((count, 2), jnp.int8),
            jnp.zeros(count, jnp.int8),
            jnp.asarray(random.integers(0, 2, count), jnp.int8),
        ],
    )
    both = ((points > 0).sum(1) + bar[:, 0] > 0) & ((points < 0).sum(1) + bar[:, 1] > 0)
    states = jax.tree.map(lambda leaf: leaf[np.flatnonzero(both)], states)
    return rolled(game, states, seed)


def rolled(game: Any, states: Any, seed: int) -> Any:
    """Returns the states with random dice on the table."""
    count = len(leaves_of(states, "player"))
    outcomes = np.random.default_rng(seed).integers(0, game.num_outcomes, count)
    return jax.jit(jax.vmap(game.resolve))(states, jnp.asarray(outcomes, jnp.int32))


def dice_of(states: Any) -> Sequence[tuple[int, int]]:
    """Returns the dice of states at the start of a turn."""
    return [(int(high), int(low) or int(high)) for high, low in leaves_of(states, "dice").tolist()]
