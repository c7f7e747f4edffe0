"""Intervals of ratings: where the profile of the likelihood has fallen by a certain amount."""

import functools

import numpy as np
from jaxtyping import Float
from scipy import optimize

from selfplay.arena.rating.model import RatingModel, all_but
from selfplay.arena.statistics import Z_95

_FAR = 30.0
_EXACT = 1e-4


def rating_bounds(
    model: RatingModel,
    best: Float[np.ndarray, " N"],
    covariance: Float[np.ndarray, "N N"],
    dispersion: float,
    *,
    profile: bool,
) -> Float[np.ndarray, "N 2"]:
    """Returns the bounds of the 95 % interval of each rating."""
    errors = np.sqrt(np.diag(covariance))
    bounds = np.stack([best - Z_95 * errors, best + Z_95 * errors], axis=1)
    if not profile:
        return bounds
    limit = model.loss(best) + dispersion * Z_95**2 / 2
    for index in range(1, len(best)):
        # How the other ratings move with this one, to begin with.
        direction = covariance[index] / covariance[index, index]
        for side in (0, 1):
            step = bounds[index, side] - best[index]
            bounds[index, side] = best[index] + _step(model, best, direction, limit, index, step)
    return bounds


def _step(
    model: RatingModel,
    best: Float[np.ndarray, " N"],
    direction: Float[np.ndarray, " N"],
    limit: float,
    index: int,
    guess: float,
) -> float:
    """Returns how far a rating may move, to the side of `guess`, until its profile is at `limit`.

    Both conditions at once: the others are as likely as they can be, and the loss is `limit`.
    """
    others = all_but(len(best), 0, index)
    order = np.append(others, index)
    ratings = best.copy()

    def whole(values: np.ndarray) -> np.ndarray:
        ratings[order] = values
        return ratings

    found = optimize.root(
        lambda values: np.append(model.slope(whole(values))[others], model.loss(ratings) - limit),
        (best + guess * direction)[order],
        jac=lambda values: np.vstack(
            [model.curvature(whole(values))[np.ix_(others, order)], model.slope(ratings)[order]]
        ),
        method="hybr",
    )
    step = float(found.x[-1] - best[index])
    if found.success and step * guess > 0 and np.abs(found.fun).max() < _EXACT:
        return step
    return _searched_step(model, best, direction, limit, index, guess)


def _searched_step(
    model: RatingModel,
    best: Float[np.ndarray, " N"],
    direction: Float[np.ndarray, " N"],
    limit: float,
    index: int,
    guess: float,
) -> float:
    """Returns the same as `_step`, slower and wherever it begins: one condition in the other."""
    excess = functools.partial(_excess, model, best, direction, limit, index)
    while excess(guess) < 0 and abs(guess) < _FAR:
        guess *= 1.5
    return optimize.brentq(excess, 0.0, guess, xtol=1e-3) if excess(guess) > 0 else guess


def _excess(
    model: RatingModel,
    best: Float[np.ndarray, " N"],
    direction: Float[np.ndarray, " N"],
    limit: float,
    index: int,
    step: float,
) -> float:
    """Returns how far the profile of a rating is above `limit`, `step` from its best."""
    if step == 0:
        return model.loss(best) - limit
    return model.loss(model.maximum(best + step * direction, held=index)) - limit
