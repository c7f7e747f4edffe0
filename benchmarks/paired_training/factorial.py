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
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import linalg, stats

from selfplay.errors import ConfigError


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
        by_game: the ratio in each game.
    """

    ratio: float
    low: float
    high: float
    by_game: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Returns it for a JSON document, which has no infinity."""
        return dataclasses.asdict(self) | {"high": self.high if math.isfinite(self.high) else None}


def effects(
    on: Mapping[str, Bool[np.ndarray, "trainings switches"]],
    results: Mapping[str, Float[np.ndarray, " trainings"]],
) -> list[Effect]:
    """Returns the effect of each switch on a positive result.

    The logarithm of a result is fitted by least squares as a constant of the game and one effect of
    each switch, which is the same in all games. What is left over, the interval counts as error:
    luck of a training, and that a switch may do more in one game than in another one.

    Args:
        on: for each game, which switches were on.
        results: for each game, what the trainings reached, above 0; NaN for one not done yet.
    """
    games = list(on)
    rows, values = [], []
    for number, game in enumerate(games):
        for switched, result in zip(on[game], results[game], strict=True):
            if not math.isnan(result):
                rows.append(np.concatenate([np.arange(len(games)) == number, switched - 0.5]))
                values.append(math.log(result))
    count = next(iter(on.values())).shape[1]
    if not rows:
        return []
    table, logs = np.array(rows, float), np.array(values)
    fitted, _, rank, _ = np.linalg.lstsq(table, logs)
    freedom = len(logs) - int(rank)
    found = fitted[len(games) :]
    margin = np.full(count, math.inf)
    if freedom > 0 and rank == table.shape[1]:
        error = float(((logs - table @ fitted) ** 2).sum()) / freedom
        spread = np.diag(np.linalg.inv(table.T @ table))[len(games) :] * error
        margin = float(stats.t.ppf(0.975, freedom)) * np.sqrt(spread)
    by_game = {game: _halves(on[game], results[game]) for game in games}
    return [
        Effect(
            ratio=math.exp(found[switch]),
            low=math.exp(found[switch] - margin[switch]),
            high=math.exp(min(found[switch] + margin[switch], 700.0))
            if math.isfinite(margin[switch])
            else math.inf,
            by_game={game: float(by_game[game][switch]) for game in games},
        )
        for switch in range(count)
    ]


def _halves(
    on: Bool[np.ndarray, "trainings switches"], results: Float[np.ndarray, " trainings"]
) -> Float[np.ndarray, " switches"]:
    """Returns the ratio of the geometric means of both halves, NaN where one is empty."""
    done = ~np.isnan(results)
    logs, switched = np.log(results[done]), on[done]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [
            (logs[:, None] * half).sum(axis=0) / half.sum(axis=0) for half in (switched, ~switched)
        ]
    return np.asarray(np.exp(means[0] - means[1]))


def share(mistakes: Sequence[int]) -> float:
    """Returns the share of mistakes, never 0: half a mistake is added."""
    return (sum(mistakes) + 0.5) / (len(mistakes) + 1)
