"""Trainings in which many switches are turned on and off together, and what they say of each one.

A two-level design: every switch is on in half of the trainings of a game, and every two switches
are on together in a quarter of them (the columns of a Hadamard matrix; Plackett and Burman, "The
design of optimum multifactorial experiments", 1946). So each training tells of every switch, and
an effect is a difference between two halves of all trainings, while the other switches are on and
off equally often in both. What two switches do together only is mixed with the effect of a third
one; which one, differs from game to game, since the columns are dealt anew for each.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import linalg, stats

from selfplay.errors import ConfigError

_ROUNDS = 50
_LIMIT = 30.0
"""Of the logarithm of an expected result: without any mistake it has no lower end."""


def design(switches: int, trainings: int, *, seed: int) -> Bool[np.ndarray, "trainings switches"]:
    """Returns which switches are on in which trainings of a game.

    Args:
        switches: how many; fewer than `trainings`.
        trainings: a power of two, at least 4.
        seed: of the game: deals the columns, their meaning and the order of the trainings.

    Raises:
        ConfigError: the trainings are too few, or no power of two.
    """
    if trainings < 4 or trainings & (trainings - 1):
        raise ConfigError(
            f"{trainings} trainings a game, but a design needs 4, 8, 16, 32 or so",
            hint="name a power of two: --trainings 16",
        )
    if not 0 < switches < trainings:
        raise ConfigError(
            f"{switches} switches, but {trainings} trainings a game tell of 1 to {trainings - 1}",
            hint=f"name more trainings: --trainings {2 * trainings}",
        )
    rng = np.random.default_rng(seed)
    # The first column is constant.
    columns = linalg.hadamard(trainings)[:, 1 + rng.permutation(trainings - 1)[:switches]]
    signs = rng.choice([-1, 1], switches)
    return np.asarray(rng.permutation(columns * signs) > 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effect:
    """What a switch changes, as a ratio: on, divided by off.

    Attributes:
        ratio: over all games; 1 if nothing changes.
        low: lower bound of the 95 % interval; 0 where the trainings are too few to say.
        high: upper bound; infinite where they are too few.
        by_game: the ratio in each game; not finite if one half made no mistake at all.
    """

    ratio: float
    low: float
    high: float
    by_game: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Returns it for a JSON document: None is what is not finite."""
        document = dataclasses.asdict(self)
        by_game = {
            game: ratio if math.isfinite(ratio) else None for game, ratio in self.by_game.items()
        }
        return document | {
            "high": self.high if math.isfinite(self.high) else None,
            "by_game": by_game,
        }


def effects(
    on: Mapping[str, Bool[np.ndarray, "trainings switches"]],
    results: Mapping[str, Float[np.ndarray, " trainings"]],
    *,
    counts: bool = False,
) -> list[Effect]:
    """Returns the effect of each switch on a result, as a ratio.

    A generalised linear model with logarithmic link (McCullagh and Nelder, "Generalized linear
    models", 1989, chapters 6, 8 and 9): the expected result is a constant of the game times one
    factor for each switch that is on, the same in all games. The variance grows with the mean for
    counts, and with its square for rates, by a factor that is estimated from what the model does
    not explain: luck of a training, and that a switch may do more in one game than in another one.

    Args:
        on: for each game, which switches were on.
        results: for each game, what the trainings reached; NaN for one not done yet. Counts are at
            least 0, other results above 0. A game in which all counts are 0 tells nothing.
        counts: whether the results are counts, such as mistakes.
    """
    games = [game for game in on if np.nansum(results[game])]
    count = next(iter(on.values())).shape[1]
    rows, values = [], []
    for number, game in enumerate(games):
        for switched, result in zip(on[game], results[game], strict=True):
            if not math.isnan(result):
                rows.append(np.concatenate([np.arange(len(games)) == number, switched - 0.5]))
                values.append(result)
    if not rows:
        return []
    found, margin = _fit(np.array(rows, float), np.array(values), counts=counts)
    by_game = {game: _halves(on[game], results[game], counts=counts) for game in on}
    return [
        Effect(
            ratio=math.exp(found[column]),
            low=math.exp(found[column] - margin[column]),
            high=math.exp(min(found[column] + margin[column], 700.0))
            if math.isfinite(margin[column])
            else math.inf,
            by_game={game: float(by_game[game][switch]) for game in on},
        )
        for switch, column in enumerate(range(len(games), len(games) + count))
    ]


def _fit(
    table: Float[np.ndarray, "results columns"],
    results: Float[np.ndarray, " results"],
    *,
    counts: bool,
) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]]:
    """Returns logarithms of the factors, and half the width of their 95 % intervals.

    By iteratively reweighted least squares. The width is infinite where the results are too few.
    """
    expected = results + 0.5 * counts
    for _ in range(_ROUNDS):
        weights = expected if counts else np.ones_like(expected)
        target = np.log(expected) + (results - expected) / expected
        root = np.sqrt(weights)
        found, _, rank, _ = np.linalg.lstsq(table * root[:, None], target * root)
        expected = np.exp(np.clip(table @ found, -_LIMIT, _LIMIT))
    freedom = len(results) - int(rank)
    if freedom <= 0 or rank < table.shape[1]:
        return found, np.full(len(found), math.inf)
    weights = expected if counts else np.ones_like(expected)
    residuals = (results - expected) / (np.sqrt(expected) if counts else expected)
    dispersion = float((residuals**2).sum()) / freedom
    covariance = np.linalg.inv(table.T @ (table * weights[:, None])) * dispersion
    return found, float(stats.t.ppf(0.975, freedom)) * np.sqrt(np.diag(covariance))


def _halves(
    on: Bool[np.ndarray, "trainings switches"],
    results: Float[np.ndarray, " trainings"],
    *,
    counts: bool,
) -> Float[np.ndarray, " switches"]:
    """Returns the ratio of the means of both halves, NaN where one is empty or has none."""
    done = ~np.isnan(results)
    switched, values = on[done], results[done] if counts else np.log(results[done])
    with np.errstate(invalid="ignore", divide="ignore"):
        with_it, without = (
            (values[:, None] * half).sum(axis=0) / half.sum(axis=0)
            for half in (switched, ~switched)
        )
        return np.asarray(with_it / without if counts else np.exp(with_it - without))
