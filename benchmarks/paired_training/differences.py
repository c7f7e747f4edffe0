"""Means and differences over seeds and items, with 95 % intervals that count both.

An item is a position or an opening. Every seed of both arms meets the same items, so results are
a matrix [seeds, items]. What a mean of it says of other seeds and other items is uncertain for two
reasons: weights of another seed err elsewhere, and other positions are harder or easier. Both are
random effects, crossed; their variances are those of the row means and of the column means, less
what these share (Owen, "The pigeonhole bootstrap", 2007, section 3), and never less than either.
Differences are taken item by item, seed by seed, so that what is hard for both arms cancels.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        mean: over seeds and items.
        low: lower bound.
        high: upper bound.
        seeds: how many; with one, the interval says nothing of other seeds.
        items: how many.
    """

    mean: float
    low: float
    high: float
    seeds: int
    items: int

    @property
    def verdict(self) -> int:
        """Returns 1 if the mean is clearly above 0, -1 if clearly below, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    def to_dict(self) -> dict[str, Any]:
        """Returns it for a JSON document."""
        return dataclasses.asdict(self)


def estimate(results: Float[np.ndarray, "seeds items"], *, step: float = 1.0) -> Estimate:
    """Returns the mean over seeds and items, with the interval of Student's t.

    Two imagined items are added to the variance, one `step / seeds` above the mean and one below
    it: without them results that happen to be all equal would leave no uncertainty.

    Args:
        results: one for each seed and item; at least one of each.
        step: by how much the result of one item with one seed changes at least, if it does.
    """
    seeds, items = results.shape
    mean = float(results.mean())
    columns = results.mean(axis=0)
    # Divided by the number of items, where the unbiased one has one less: two were added.
    spread = float(((columns - mean) ** 2).sum()) + 2 * (step / seeds) ** 2
    of_items = spread / (items + 1) / items
    of_seeds = shared = 0.0
    if seeds > 1:
        rows = results.mean(axis=1)
        of_seeds = float(rows.var(ddof=1)) / seeds
        if items > 1:
            rest = results - rows[:, None] - columns[None, :] + mean
            shared = float((rest**2).sum()) / ((seeds - 1) * (items - 1)) / (seeds * items)
    variance = max(of_seeds + of_items - shared, of_seeds, of_items)
    # Satterthwaite's degrees of freedom, of a sum of two variances.
    parts = of_items**2 / max(items - 1, 1) + (of_seeds**2 / (seeds - 1) if seeds > 1 else 0.0)
    freedom = max(1.0, (of_items + of_seeds) ** 2 / parts)
    margin = float(stats.t.ppf(0.975, freedom)) * math.sqrt(variance)
    return Estimate(mean=mean, low=mean - margin, high=mean + margin, seeds=seeds, items=items)
