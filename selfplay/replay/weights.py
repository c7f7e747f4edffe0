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


class WeightSums:
    """Draws the newest positions in proportion to their weights.

    It holds the sums of all weights up to each position, so that neither adding positions nor
    drawing depends on how many there are. Sums are whole numbers, multiples of `_UNIT`: what is
    drawn does not depend on positions that are no longer there.
    """

    _UNIT = 2.0**-20

    def __init__(self, size: int) -> None:
        """Begins without positions.

        Args:
            size: number of the newest positions that may be drawn, at least 1.
        """
        # Entry n % (size + 1) is the sum over the first n positions.
        self._sums = np.zeros(size + 1, np.int64)
        self._added = 0

    def add(self, weights: npt.NDArray[np.float32]) -> None:
        """Adds positions, the newest last, at most `size` of them.

        Args:
            weights: of each, at least 0.
        """
        ring = len(self._sums)
        sums = np.rint(weights / self._UNIT).astype(np.int64).cumsum()
        at = (self._added + 1 + np.arange(len(weights))) % ring
        self._sums[at] = self._sums[self._added % ring] + sums
        self._added += len(weights)

    def draw(
        self, generator: np.random.Generator, count: int, *, newest: int
    ) -> npt.NDArray[np.int64]:
        """Returns the ages of `count` positions, with replacement; 0 is the newest position.

        Args:
            generator: decides which.
            count: at least 1.
            newest: number of the newest positions to draw from, of which at least one weighs more
                than 0.
        """
        ring = len(self._sums)
        before, last = (self._sums[n % ring] for n in (self._added - newest, self._added))
        places = generator.integers(before, last, count)
        first = (self._added - newest + 1) % ring
        sums = self._sums[first : first + newest]
        found = sums.searchsorted(places, side="right")
        beyond = found == len(sums)
        rest = self._sums[: newest - len(sums)]
        found[beyond] += rest.searchsorted(places[beyond], side="right")
        return newest - 1 - found
