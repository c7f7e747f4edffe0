"""How well a linear model guesses the result of a match from what is observed in it.

The model is fitted to random matches, and to several readings of them: the observation as the
mover's side or as player 0's, the results as [player 0, player 1] or as [whoever is to move at the
end, the other]. Where another reading is guessed far better than the documented one, the game was
written for that reading. Thousands of random matches take seconds; a short training plays a few
hundred.
"""

import dataclasses
from typing import Any

import numpy as np

from selfplay.check.guessing.sample import PositionSample, sample_positions
from selfplay.game import Game

_FEWEST_POSITIONS = 400
_MOST_FEATURES = 1024
_BLOCKS = 16
_RIDGE = 30.0
# A reading of the result is only tried if it differs often enough from the documented one.
_LEAST_SHARE = 0.1


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
        tells_mover: whether nothing that was observed was ever observed by both players: then the
            observation as a whole says who is to move, if only by a count.
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
    tells_mover: bool = False

    @property
    def usual(self) -> float:
        """Returns the correlation under the documented reading."""
        return max(self.mover, self.player_zero) if self.named else self.mover


def guesses(game: Game[Any], *, seed: int = 0) -> Guesses | None:
    """Returns how well results are guessed in random matches; None if hardly any is decided."""
    return fit_guesses(sample_positions(game, seed=seed))


def fit_guesses(sample: PositionSample) -> Guesses | None:
    """Returns how well results are guessed; None where too few are decided, or one player moves."""
    decided = sample.results != 0
    if decided.sum() < _FEWEST_POSITIONS or len(set(sample.players.tolist())) < 2:
        return None
    rows = sample.observations
    sign = np.where(sample.players == 0, 1.0, -1.0)
    groups = 2 * sample.plies + sample.players
    # How the match stands by ply and player says nothing of the position.
    features = _centred(_few(rows.astype(np.float64)), groups)
    blocks = _Blocks(sample.matches)
    results = _centred(sample.results * sign, groups)
    mover = blocks.fits(features, results)
    zero = blocks.fits(features * sign[:, None], results)
    named = _named(rows, sample.players)
    canonical, canonical_t = None, 0.0
    turned = np.where(sample.last_players == 0, sample.results, -sample.results)
    if min((turned[decided] > 0).mean(), (turned[decided] < 0).mean()) >= _LEAST_SHARE:
        other = _centred(turned * sign, groups)
        fits = max(
            blocks.fits(features, other), blocks.fits(features * sign[:, None], other), key=_mean
        )
        canonical = _mean(fits)
        usual = max(mover, zero, key=_mean) if named else mover
        canonical_t = _standard_errors(fits - usual)
    _, ones = np.unique(sample.matches, return_index=True)
    ends, last_players = sample.results[ones], sample.last_players[ones]
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
        tells_mover=_tells_mover(rows, sample.players),
    )


def _tells_mover(observations: np.ndarray, players: np.ndarray) -> bool:
    """Returns whether no observation was seen by both players."""
    first: dict[bytes, int] = {}
    return all(
        first.setdefault(row.tobytes(), player) == player
        for row, player in zip(observations, players.tolist(), strict=True)
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
