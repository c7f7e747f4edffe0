"""Positions of random matches, as many as are quickly played."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.game import Game, Position, is_over, random_ply, start

MOST_MATCHES = 4096
MOST_POSITIONS = 40_000
_FEWEST_MATCHES = 128
_MOST_PLIES = 400_000


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


def sample_positions(game: Game[Any], *, seed: int = 0) -> PositionSample:
    """Returns positions of up to 4,096 random matches; fewer where matches are long."""
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

    step = jax.jit(lambda positions, key: jax.vmap(one)(positions, jax.random.split(key, count)))
    start_key, play_key = jax.random.split(jax.random.key(seed))
    positions = jax.vmap(lambda key: start(game, key))(jax.random.split(start_key, count))
    draw = np.random.default_rng(seed)
    kept: list[tuple[np.ndarray, ...]] = []
    share, total = 1.0, 0
    for ply in range(game.max_plies + 1):
        positions, seen = step(positions, jax.random.fold_in(play_key, ply))
        observations, players, over, results = jax.device_get(seen)
        if over.all():
            break
        rows = np.flatnonzero(~over & (draw.random(count) < share))
        kept.append((observations[rows], players[rows], np.full(rows.size, ply), rows))
        total += rows.size
        # Half of what was kept goes whenever there is twice as much as wanted.
        if total > 2 * MOST_POSITIONS:
            share /= 2
            halves = [draw.random(len(some[0])) < 0.5 for some in kept]
            kept = [
                tuple(part[half] for part in some) for some, half in zip(kept, halves, strict=True)
            ]
            total = sum(len(some[0]) for some in kept)
    parts = [np.concatenate([some[index] for some in kept]) for index in range(4)]
    if total > MOST_POSITIONS:
        rows = np.sort(draw.choice(total, MOST_POSITIONS, replace=False))
        parts = [part[rows] for part in parts]
    return PositionSample(
        observations=parts[0],
        players=parts[1],
        plies=parts[2],
        matches=parts[3],
        results=results[parts[3]],
        last_players=players[parts[3]],
    )
