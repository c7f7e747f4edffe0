"""Numbers about the matches of a short training."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.guessing.guesses import Guesses, correlation, guesses
from selfplay.game import Game, advance, start
from selfplay.records import MatchRecord

_MOST_REPLAYED = 1024
_BATCH = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """Numbers about the matches of a training; None where there is too little to say.

    Attributes:
        decided: matches that somebody won.
        wins: of player 0 and player 1.
        truncated_share: matches ended by `max_plies`, in [0, 1].
        late_matches: how many are the last third of the matches.
        value_fit: for each player the correlation of the network's value with the result, in
            those.
        target_entropy: of the policy targets there, as a share of that of random moves.
        illegal_moves: replayed matches with an illegal move or policy target.
        guesses: how well results can be guessed from observations in random matches.
    """

    decided: int
    wins: tuple[int, int]
    truncated_share: float
    late_matches: int
    value_fit: tuple[float | None, float | None]
    target_entropy: float | None
    illegal_moves: int
    guesses: Guesses | None

    @property
    def doubt(self) -> float:
        """Returns three standard errors of a correlation in the late matches."""
        # Matches are independent of each other, positions of the same match are not.
        return 3 / max(1, self.late_matches) ** 0.5

    @property
    def foretells(self) -> bool:
        """Returns whether the network's values predict who wins."""
        first, second = self.value_fit
        return first is not None and second is not None and (first + second) / 2 > self.doubt


def gather(game: Game[Any], records: Sequence[MatchRecord]) -> Evidence:
    """Returns the evidence of `records`, in the order in which the matches were played."""
    late = records[-max(1, len(records) // 3) :]
    first = np.array([record.returns[0] for record in records] or [0.0])
    return Evidence(
        decided=int((first != 0).sum()),
        wins=(int((first > 0).sum()), int((first < 0).sum())),
        truncated_share=float(np.mean([record.truncated for record in records] or [False])),
        late_matches=len(late),
        value_fit=(_value_fit(late, 0), _value_fit(late, 1)),
        target_entropy=_target_entropy(late),
        illegal_moves=_illegal_moves(game, records),
        guesses=guesses(game),
    )


def _value_fit(records: Sequence[MatchRecord], player: int) -> float | None:
    values = [record.raw_values[record.players == player] for record in records]
    results = [
        np.full(len(mine), record.returns[player])
        for record, mine in zip(records, values, strict=True)
    ]
    if not values:
        return None
    return correlation(np.concatenate(values), np.concatenate(results))


def _target_entropy(records: Sequence[MatchRecord]) -> float | None:
    shares = []
    for record in records[-200:]:
        for ply in range(record.plies):
            _, probabilities = record.policy(ply)
            # The improved policy gives every legal action a share.
            if len(probabilities) > 1 and record.is_target[ply]:
                entropy = -np.sum(probabilities * np.log(np.maximum(probabilities, 1e-12)))
                shares.append(entropy / np.log(len(probabilities)))
    return float(np.mean(shares)) if shares else None


def _illegal_moves(game: Game[Any], records: Sequence[MatchRecord]) -> int:
    """Plays a spread of the matches again and returns in how many a move is illegal."""
    chosen = list(records[:: max(1, -(-len(records) // _MOST_REPLAYED))])
    look = jax.jit(jax.vmap(lambda position: game.legal_action_mask(position.state)))
    play = jax.jit(
        jax.vmap(
            lambda position, action, outcome: advance(game, position, action, outcome).position
        )
    )
    illegal = 0
    for begin in range(0, len(chosen), _BATCH):
        some = chosen[begin : begin + _BATCH]
        data = np.resize(np.array([record.start_key for record in some], np.uint32), (_BATCH, 2))
        keys = jax.random.wrap_key_data(jnp.asarray(data))
        positions = jax.vmap(lambda key: start(game, key))(keys)
        wrong: set[int] = set()
        for ply in range(max(record.plies for record in some)):
            masks = jax.device_get(look(positions))
            actions, outcomes = np.zeros(_BATCH, np.int32), np.zeros(_BATCH, np.int32)
            for row, record in enumerate(some):
                if ply >= record.plies or row in wrong:
                    continue
                action = int(record.actions[ply])
                named, _ = record.policy(ply)
                if not masks[row][action] or not masks[row][named].all():
                    wrong.add(row)
                    continue
                actions[row], outcomes[row] = action, max(0, int(record.outcomes[ply]))
            positions = play(positions, actions, outcomes)
        illegal += len(wrong)
    return illegal
