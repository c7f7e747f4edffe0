"""What the matches of a short training say about the game they were played in."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.game import Game, advance, start
from selfplay.records import MatchRecord

_MOST_REPLAYED = 1024
_BATCH = 64
_FEWEST_POSITIONS = 200
_RIDGE = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """Numbers about the matches of a training; None where there is too little to say.

    Attributes:
        decided: matches that somebody won.
        wins: of player 0 and player 1.
        truncated_share: matches ended by `max_plies`, in [0, 1].
        late_positions: positions in the last third of the matches.
        value_fit: for each player the correlation of the network's value with the result, in
            the last third of the matches.
        target_entropy: of the policy targets there, as a share of that of random moves.
        illegal_moves: replayed matches with an illegal move or policy target.
        side_same: correlation of the result with a linear guess from the observation, fitted to
            positions of the same player.
        side_across: likewise, fitted to positions of the other player.
        side_positions: how many positions those were tested on.
    """

    decided: int
    wins: tuple[int, int]
    truncated_share: float
    late_positions: int
    value_fit: tuple[float | None, float | None]
    target_entropy: float | None
    illegal_moves: int
    side_same: float | None
    side_across: float | None
    side_positions: int


def gather(game: Game[Any], records: Sequence[MatchRecord]) -> Evidence:
    """Returns the evidence of `records`, in the order in which the matches were played."""
    late = records[-max(1, len(records) // 3) :]
    first = np.array([record.returns[0] for record in records] or [0.0])
    replayed = _replayed(game, records)
    side = replayed.side()
    return Evidence(
        decided=int((first != 0).sum()),
        wins=(int((first > 0).sum()), int((first < 0).sum())),
        truncated_share=float(np.mean([record.truncated for record in records] or [False])),
        late_positions=sum(record.plies for record in late),
        value_fit=(_value_fit(late, 0), _value_fit(late, 1)),
        target_entropy=_target_entropy(late),
        illegal_moves=replayed.illegal,
        side_same=side.same if side else None,
        side_across=side.across if side else None,
        side_positions=side.positions if side else 0,
    )


def _value_fit(records: Sequence[MatchRecord], player: int) -> float | None:
    values = [record.raw_values[record.players == player] for record in records]
    results = [
        np.full(len(mine), record.returns[player])
        for record, mine in zip(records, values, strict=True)
    ]
    if not values:
        return None
    return _correlation(np.concatenate(values), np.concatenate(results))


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


def _replayed(game: Game[Any], records: Sequence[MatchRecord]) -> "_Replayed":
    """Plays a spread of the matches again and returns what was seen."""
    chosen = list(records[:: max(1, -(-len(records) // _MOST_REPLAYED))])
    look = jax.jit(
        jax.vmap(
            lambda position: (game.legal_action_mask(position.state), game.observe(position.state))
        )
    )
    play = jax.jit(
        jax.vmap(
            lambda position, action, outcome: advance(game, position, action, outcome).position
        )
    )
    illegal = 0
    rows: list[tuple[np.ndarray, float, int]] = []
    for begin in range(0, len(chosen), _BATCH):
        some = chosen[begin : begin + _BATCH]
        data = np.resize(np.array([record.start_key for record in some], np.uint32), (_BATCH, 2))
        keys = jax.random.wrap_key_data(jnp.asarray(data))
        positions = jax.vmap(lambda key: start(game, key))(keys)
        wrong: set[int] = set()
        for ply in range(max(record.plies for record in some)):
            masks, observations = jax.device_get(look(positions))
            actions, outcomes = np.zeros(_BATCH, np.int32), np.zeros(_BATCH, np.int32)
            for row, record in enumerate(some):
                if ply >= record.plies or row in wrong:
                    continue
                action, player = int(record.actions[ply]), int(record.players[ply])
                named, _ = record.policy(ply)
                if not masks[row][action] or not masks[row][named].all():
                    wrong.add(row)
                    continue
                actions[row], outcomes[row] = action, max(0, int(record.outcomes[ply]))
                seen = np.asarray(observations[row], np.float32).reshape(-1)
                rows.append((seen, record.returns[player], player))
            positions = play(positions, actions, outcomes)
        illegal += len(wrong)
    return _Replayed(illegal=illegal, rows=rows)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Replayed:
    """What was seen: illegal matches, and observation, result and player of each position."""

    illegal: int
    rows: list[tuple[np.ndarray, float, int]]

    def side(self) -> "_Side | None":
        """Returns how a guess carries over; None where that says nothing."""
        if len(self.rows) < _FEWEST_POSITIONS:
            return None
        observations = np.stack([seen for seen, _, _ in self.rows]).astype(np.float64)
        results = np.array([result for _, result, _ in self.rows])
        players = np.array([player for _, _, player in self.rows])
        return carried_over(observations, results, players)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Side:
    """How well a linear guess of the result from the observation carries over.

    Attributes:
        same: correlation for positions of the player it was fitted to.
        across: correlation for positions of the other player.
        positions: that the weaker of the two was tested on.
    """

    same: float
    across: float
    positions: int


def carried_over(
    observations: np.ndarray, results: np.ndarray, players: np.ndarray
) -> "_Side | None":
    """Returns how well a linear guess of the result works for the same and the other player.

    Args:
        observations: [N, features].
        results: [N] for the player to move.
        players: [N] who is to move.

    Returns:
        None where there is too little, or where the observation names the player: then it may
        show the board from one side.
    """
    if len(set(players.tolist())) < 2:
        return None
    seats = [observations[players == player] for player in range(2)]
    constant = [(rows == rows[0]).all(axis=0) for rows in seats]
    if (constant[0] & constant[1] & (seats[0][0] != seats[1][0])).any():
        return None
    # Blocks and not every second row: neighbours come from the same match.
    half = np.arange(len(results)) < len(results) // 2
    same: list[float] = []
    across: list[float] = []
    counts: list[int] = []
    for player in range(2):
        mine = players == player
        fitted, tested, others = mine & half, mine & ~half, ~mine & ~half
        if min(fitted.sum(), tested.sum(), others.sum()) < _FEWEST_POSITIONS // 8:
            return None
        guess = _ridge(observations[fitted], results[fitted])
        for rows, scores in ((tested, same), (others, across)):
            found = _correlation(guess(observations[rows]), results[rows])
            if found is None:
                return None
            scores.append(found)
            counts.append(int(rows.sum()))
    # The weaker of the two directions: both must speak the same language.
    return _Side(same=min(same), across=max(across), positions=min(counts))


def _ridge(inputs: np.ndarray, wanted: np.ndarray) -> Any:
    """Returns the linear function fitted to `wanted`, with small weights."""
    centre, mean = inputs.mean(axis=0), wanted.mean()
    rows = inputs - centre
    gram = rows.T @ rows + _RIDGE * np.eye(rows.shape[1])
    weights = np.linalg.solve(gram, rows.T @ (wanted - mean))
    return lambda inputs: (inputs - centre) @ weights + mean


def _correlation(left: np.ndarray, right: np.ndarray) -> float | None:
    if len(left) < 2 or np.std(left) < 1e-9 or np.std(right) < 1e-9:
        return None
    return float(np.corrcoef(left, right)[0, 1])
