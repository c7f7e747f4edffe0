"""Matches of random moves of any game, and runs that hold them."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

from selfplay.game import Game, Position, is_over, is_truncated, random_ply, start
from selfplay.records import MatchRecord
from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory
from selfplay.settings import Config
from tests.records.examples import make_record


@functools.cache
def _player(game: Game[Any]) -> Any:
    """Returns a compiled function that plays a match for each key, padded to `max_plies`."""

    def play(key: Key[Array, ""]) -> Any:
        def ply(position: Position[Any], key: Key[Array, ""]) -> Any:
            over = is_over(game, position)
            played = random_ply(game, position, key=key)
            player = game.current_player(position.state)
            return played.position, (~over, player, played.action, played.outcome)

        keys = jax.random.split(key, game.max_plies)
        final, plies = jax.lax.scan(ply, start(game, key), keys)
        return plies, is_truncated(game, final), game.returns(final.state)

    return jax.jit(jax.vmap(play))


@functools.cache
def random_matches(game: Game[Any], count: int) -> tuple[MatchRecord, ...]:
    """Returns matches of random moves and dice, with random values."""
    keys = jax.vmap(jax.random.key)(np.arange(count))
    (playing, players, actions, outcomes), truncated, returns = jax.device_get(_player(game)(keys))
    words = np.asarray(jax.random.key_data(keys))
    found = []
    for row in range(count):
        plies = int(playing[row].sum())
        chosen = [int(action) for action in actions[row, :plies]]
        record = make_record(
            row,
            game=game.name,
            version=game.version,
            start_key=(int(words[row, 0]), int(words[row, 1])),
            truncated=bool(truncated[row]),
            returns=(float(returns[row, 0]), float(returns[row, 1])),
            players=players[row, :plies].tolist(),
            actions=chosen,
            policies=[(np.array([action]), np.ones(1, np.float32)) for action in chosen],
        )
        found.append(dataclasses.replace(record, outcomes=outcomes[row, :plies].astype(np.int32)))
    return tuple(found)


@functools.cache
def game(name: str, **options: object) -> Game[Any]:
    """Returns a game, the same one every time, so that it is compiled once."""
    return make(name, **options)


def begun_randomly(match: MatchRecord, plies: int = 1) -> MatchRecord:
    """Returns a match whose first moves are marked as drawn at random."""
    return dataclasses.replace(match, exploratory=np.arange(match.plies) < plies)


def run_with(
    place: Path,
    spec: GameSpec,
    matches: Sequence[MatchRecord],
    *,
    per_file: int = 20,
    checkpoints: Sequence[int] | None = None,
) -> RunDirectory:
    """Returns a new run that holds these matches, `checkpoints[i]` being the one that ended i."""
    run = RunDirectory.create(place, spec, spec.make(), Config())
    ended = range(len(matches)) if checkpoints is None else checkpoints
    for first in range(0, len(matches), per_file):
        sequence = first // per_file
        run.matches.put(
            "w",
            sequence,
            [
                dataclasses.replace(
                    match,
                    match_id=f"w-{sequence:08d}-{index:04d}",
                    worker="w",
                    fingerprint=run.fingerprint,
                    first_checkpoint=ended[first + index],
                    last_checkpoint=ended[first + index],
                )
                for index, match in enumerate(matches[first : first + per_file])
            ],
        )
    return run
