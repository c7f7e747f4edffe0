"""A linear guess of the result from what is seen: whose side it speaks for, whose result it is.

Random matches are enough for it, thousands of them in seconds, where a short training makes a few
hundred. Nothing is learnt here that an agent would need; only readings of the game are compared:
if results are guessed far better from the observation read another way, that is how it was meant.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.game import Game, Position, is_over, random_ply, start

MOST_MATCHES = 4096
_FEWEST_MATCHES = 128
_MOST_PLIES = 400_000
MOST_POSITIONS = 40_000
_FEWEST_POSITIONS = 400
_MOST_FEATURES = 1024
_BLOCKS = 16
_RIDGE = 30.0
# A reading of the result is only tried if it differs often enough from the usual one.
_LEAST_SHARE = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guesses:
    """How well results are guessed; correlations in matches that the guess was not fitted to.

    Attributes:
        matches: random matches.
        positions: of them looked at.
        wins: of player 0 and player 1.
        blind: whether the observation is the same everywhere.
        named: whether the observation says which player is to move; then it may show the
            position from any side.
        mover: correlation if the observation is the mover's and results are [player 0, player 1].
        player_zero: if the observation shows player 0's side to both.
        player_zero_t: by how many standard errors that is better than `mover`.
        canonical: if results are [whoever is to move at the end, the other]; None where that
            would decide every match alike.
        canonical_t: by how many standard errors that is better than `usual`.
        ended: how many decided matches ended where player 0, or player 1, would be to move.
    """

    matches: int
    positions: int
    wins: tuple[int, int]
    blind: bool
    named: bool
    mover: float
    player_zero: float
    player_zero_t: float
    canonical: float | None
    canonical_t: float
    ended: tuple[int, int] = (0, 0)

    @property
    def usual(self) -> float:
        """Returns the correlation if all is as it should be."""
        return max(self.mover, self.player_zero) if self.named else self.mover


def guesses(game: Game[Any], *, seed: int = 0) -> Guesses | None:
    """Returns how well results are guessed in random matches; None if hardly any is decided."""
    return judge(play(game, seed=seed))


def play(game: Game[Any], *, seed: int = 0) -> Seen:
    """Returns positions of random matches: as many as are quickly played."""
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
    return Seen(
        observations=parts[0],
        players=parts[1],
        plies=parts[2],
        matches=parts[3],
        results=results[parts[3]],
        last_players=players[parts[3]],
    )


def judge(seen: Seen) -> Guesses | None:
    """Returns how well results are guessed; None where too few are decided, or one player moves."""
    decided = seen.results != 0
    if decided.sum() < _FEWEST_POSITIONS or len(set(seen.players.tolist())) < 2:
        return None
    rows = seen.observations
    sign = np.where(seen.players == 0, 1.0, -1.0)
    groups = 2 * seen.plies + seen.players
    # How the match stands by ply and player says nothing of the position.
    features = _centred(_few(rows.astype(np.float64)), groups)
    blocks = _Blocks(seen.matches)
    results = _centred(seen.results * sign, groups)
    mover = blocks.fits(features, results)
    zero = blocks.fits(features * sign[:, None], results)
    named = _named(rows, seen.players)
    canonical, canonical_t = None, 0.0
    turned = np.where(seen.last_players == 0, seen.results, -seen.results)
    if min((turned[decided] > 0).mean(), (turned[decided] < 0).mean()) >= _LEAST_SHARE:
        other = _centred(turned * sign, groups)
        fits = max(
            blocks.fits(features, other), blocks.fits(features * sign[:, None], other), key=_mean
        )
        canonical = _mean(fits)
        usual = max(mover, zero, key=_mean) if named else mover
        canonical_t = _standard_errors(fits - usual)
    _, ones = np.unique(seen.matches, return_index=True)
    ends, last_players = seen.results[ones], seen.last_players[ones]
    return Guesses(
        matches=len(ends),
        positions=len(rows),
        wins=(int((ends > 0).sum()), int((ends < 0).sum())),
        blind=bool((rows == rows[0]).all()),
        named=named,
        mover=_mean(mover),
        player_zero=_mean(zero),
        player_zero_t=_standard_errors(zero - mover),
        canonical=canonical,
        canonical_t=canonical_t,
        ended=(
            int(((ends != 0) & (last_players == 0)).sum()),
            int(((ends != 0) & (last_players == 1)).sum()),
        ),
    )


class _Blocks:
    """Half of the matches to fit to, the others in blocks to test on.

    Positions of one match are alike; blocks of whole matches are independent.
    """

    def __init__(self, matches: np.ndarray) -> None:
        numbers = np.unique(matches)
        half = len(numbers) // 2
        places = np.searchsorted(numbers, matches)
        self._fitted = places < half
        block = (places - half) * _BLOCKS // (len(numbers) - half)
        self._tested = [~self._fitted & (block == index) for index in range(_BLOCKS)]

    def fits(self, features: np.ndarray, results: np.ndarray) -> np.ndarray:
        """Returns the correlation of guess and result in each block, 0 where there is none."""
        rows = features[self._fitted]
        gram = rows.T @ rows + _RIDGE * np.eye(rows.shape[1])
        weights = np.linalg.solve(gram, rows.T @ results[self._fitted])
        guess = features @ weights
        return np.array([correlation(guess[some], results[some]) or 0.0 for some in self._tested])


def correlation(left: np.ndarray, right: np.ndarray) -> float | None:
    """Returns the correlation of two lists of numbers; None if one of them is constant."""
    if len(left) < 2 or np.std(left) < 1e-9 or np.std(right) < 1e-9:
        return None
    return float(np.corrcoef(left, right)[0, 1])


def _mean(values: np.ndarray) -> float:
    return float(values.mean())


def _standard_errors(values: np.ndarray) -> float:
    """Returns how many standard errors the mean of the blocks lies above 0."""
    spread = values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean() / max(spread, 1e-9))


def _few(rows: np.ndarray) -> np.ndarray:
    """Returns the features, mixed at random into fewer where they are very many."""
    if rows.shape[1] <= _MOST_FEATURES:
        return rows
    mixed = np.random.default_rng(0).normal(size=(rows.shape[1], _MOST_FEATURES))
    return np.asarray(rows @ mixed / rows.shape[1] ** 0.5)


def _centred(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns the values less the mean of their group."""
    columns = values.reshape(len(values), -1)
    order = np.argsort(groups, kind="stable")
    begins = np.flatnonzero(np.diff(groups[order], prepend=-1))
    counts = np.diff(begins, append=len(groups))
    means = np.add.reduceat(columns[order], begins, axis=0) / counts[:, None]
    centred = np.empty_like(columns)
    centred[order] = columns[order] - np.repeat(means, counts, axis=0)
    return centred.reshape(values.shape)


def _named(observations: np.ndarray, players: np.ndarray) -> bool:
    """Returns whether a feature is constant for each player, but not the same for both."""
    seats = [observations[players == player] for player in range(2)]
    constant = [(rows == rows[0]).all(axis=0) for rows in seats]
    return bool((constant[0] & constant[1] & (seats[0][0] != seats[1][0])).any())
