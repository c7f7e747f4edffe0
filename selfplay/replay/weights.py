"""How often the positions of a match are sampled, relative to those of others."""

import numpy as np
import numpy.typing as npt

from selfplay.records import MatchRecord


def surprise_weights(match: MatchRecord, share: float) -> npt.NDArray[np.float32]:
    """Returns the weight of each ply by how much the search surprised the network, at least 0.

    A part `share` of what the policy targets of a match weigh together is divided among them in
    proportion to their surprise, the rest evenly. Their mean stays 1, so matches weigh as ever:
    policy surprise weighting, described in "Other methods implemented in KataGo",
    https://github.com/lightvector/KataGo/blob/master/docs/KataGoMethods.md. Plies that are no
    policy target, and those whose surprise is not known, weigh 1.

    Args:
        match: its `surprises` are Kullback-Leibler divergences in nats.
        share: in [0, 1].
    """
    weights = np.ones(match.plies, np.float32)
    surprises = match.surprises
    # Not NaN and not infinite: other programs write records, too.
    known = match.is_target & (surprises >= 0) & np.isfinite(surprises)
    mean = surprises[known].mean(dtype=np.float64) if known.any() else 0.0
    if mean > 0:
        weights[known] = (1 - share) + share * surprises[known] / mean
    return weights


class WeightedDraws:
    """Draws indices in proportion to weights. The same weights draw the same indices."""

    def __init__(self, weights: npt.NDArray[np.float32]) -> None:
        """Takes the weights, of which at least one is above 0."""
        self._sums = weights.cumsum(dtype=np.float64)

    def draw(self, generator: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
        """Returns `count` indices, with replacement."""
        places = generator.random(count) * self._sums[-1]
        # Rounding may lead to the end itself.
        last = int(self._sums.searchsorted(self._sums[-1]))
        return np.minimum(self._sums.searchsorted(places, side="right"), last)
