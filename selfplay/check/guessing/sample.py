"""Positions of random matches, as many as are quickly played."""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.game import Game, Position, is_over, random_ply, start

MOST_MATCHES = 4096
MOST_POSITIONS = 40_000
_FEWEST_MATCHES = 128
_MOST_PLIES = 400_000
_BATCH = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
class PositionSample:
    """Positions of random matches, one row each.

    Attributes:
        observations: [N, features].
        players: [N] who is to move.
        plies: [N] moves made before.
        matches: [N] number of the match, from 0.
        results: [N] for player 0.
        last_players: [N] who was to move when the match had ended.
    """

    observations: np.ndarray
    players: np.ndarray
    plies: np.ndarray
    matches: np.ndarray
    results: np.ndarray
    last_players: np.ndarray


def sample_positions(game: Game[Any], *, seed: int = 0, seconds: float = 20.0) -> PositionSample:
    """Returns positions of up to 4,096 random matches, of fewer where matches are long.

    Args:
        game: the rules.
        seed: of the random matches.
        seconds: no 512 matches more are begun after so long.
    """
    count = max(_FEWEST_MATCHES, min(MOST_MATCHES, _MOST_PLIES // game.max_plies))

    def one(position: Position[Any], key: Any) -> Any:
        action_key, outcome_key = jax.random.split(key)
        seen = (
            game.observe(position.state).astype(jnp.float32).reshape(-1),
            game.current_player(position.state),
            is_over(game, position),
            game.returns(position.state)[0],
        )
        after = random_ply(game, position, key=action_key, chance_key=outcome_key).position
        return after, seen

    size = min(count, _BATCH)
    step = jax.jit(lambda positions, key: jax.vmap(one)(positions, jax.random.split(key, size)))
    begin = jax.jit(jax.vmap(lambda key: start(game, key)))
    draw = np.random.default_rng(seed)
    kept: list[tuple[np.ndarray, ...]] = []
    ends: list[tuple[np.ndarray, np.ndarray]] = []
    share, total = 1.0, 0
    clock = None
    for first in range(0, count, size):
        if clock is not None and time.perf_counter() - clock > seconds:
            break
        start_key, play_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), first))
        positions = begin(jax.random.split(start_key, size))
        for ply in range(game.max_plies + 1):
            positions, seen = step(positions, jax.random.fold_in(play_key, ply))
            observations, players, over, results = jax.device_get(seen)
            clock = clock or time.perf_counter()  # compiling is not counted
            if over.all():
                break
            rows = np.flatnonzero(~over & (draw.random(size) < share))
            plies = np.full(rows.size, ply)
            kept.append((observations[rows], players[rows], plies, rows + first))
            total += rows.size
            # Half of what was kept goes whenever there is twice as much as wanted.
            if total > 2 * MOST_POSITIONS:
                share /= 2
                halves = [draw.random(len(some[0])) < 0.5 for some in kept]
                kept = [
                    tuple(part[half] for part in some)
                    for some, half in zip(kept, halves, strict=True)
                ]
                total = sum(len(some[0]) for some in kept)
        ends.append((results, players))
    parts = [np.concatenate([some[index] for some in kept]) for index in range(4)]
    if total > MOST_POSITIONS:
        rows = np.sort(draw.choice(total, MOST_POSITIONS, replace=False))
        parts = [part[rows] for part in parts]
    return PositionSample(
        observations=parts[0],
        players=parts[1],
        plies=parts[2],
        matches=parts[3],
        results=np.concatenate([results for results, _ in ends])[parts[3]],
        last_players=np.concatenate([players for _, players in ends])[parts[3]],
    )
