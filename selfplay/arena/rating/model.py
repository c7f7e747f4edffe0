"""How likely ratings are, given the matches: the Bradley-Terry model with a normal prior."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize, sparse, special
from scipy.sparse import csgraph

_MEANINGFUL_FREEDOM = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatingModel:
    """The posterior of ratings on the logistic scale; agent 0 is the anchor.

    Attributes:
        first: index of the first agent of each pairing.
        second: index of the second one.
        trials: how many independent matches the pairing is worth.
        scores: mean score of the first agent.
        precision: of the prior, as a matrix over the ratings.
    """

    first: Int[np.ndarray, " K"]
    second: Int[np.ndarray, " K"]
    trials: Float[np.ndarray, " K"]
    scores: Float[np.ndarray, " K"]
    precision: Float[np.ndarray, "N N"]

    def loss(self, ratings: Float[np.ndarray, " N"]) -> float:
        """Returns the negative logarithm of the posterior density."""
        lead = ratings[self.first] - ratings[self.second]
        # log(1 + exp(-lead)) for the share won, log(1 + exp(lead)) for the share lost.
        of_matches = self.trials * (np.logaddexp(0, lead) - self.scores * lead)
        return float(of_matches.sum() + ratings @ self.precision @ ratings / 2)

    def slope(self, ratings: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Returns the gradient of `loss`."""
        expected = special.expit(ratings[self.first] - ratings[self.second])
        pull = self.trials * (expected - self.scores)
        slope = self.precision @ ratings
        np.add.at(slope, self.first, pull)
        np.add.at(slope, self.second, -pull)
        return slope

    def curvature(self, ratings: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N N"]:
        """Returns the Hessian of `loss`."""
        expected = special.expit(ratings[self.first] - ratings[self.second])
        weight = self.trials * expected * (1 - expected)
        curvature = self.precision.copy()
        np.add.at(curvature, (self.first, self.first), weight)
        np.add.at(curvature, (self.second, self.second), weight)
        np.add.at(curvature, (self.first, self.second), -weight)
        np.add.at(curvature, (self.second, self.first), -weight)
        return curvature

    def maximum(
        self, begin: Float[np.ndarray, " N"] | None = None, *, held: int | None = None
    ) -> Float[np.ndarray, " N"]:
        """Returns the likeliest ratings; those of the anchor and of agent `held` stay."""
        ratings = np.zeros(len(self.precision)) if begin is None else begin.copy()
        free = all_but(len(ratings), 0, held)
        if not free.size:
            return ratings

        def whole(values: np.ndarray) -> np.ndarray:
            ratings[free] = values
            return ratings

        found = optimize.minimize(
            lambda values: self.loss(whole(values)),
            ratings[free],
            jac=lambda values: self.slope(whole(values))[free],
            hess=lambda values: self.curvature(whole(values))[np.ix_(free, free)],
            method="trust-exact",
            options={"gtol": 1e-6, "initial_trust_radius": 10.0, "max_trust_radius": 1e3},
        )
        return whole(found.x)

    def dispersion(self, best: Float[np.ndarray, " N"]) -> float:
        """Returns the deviance of the scores per degree of freedom, at least 1."""
        components = csgraph.connected_components(self._graph(), directed=False)[0]
        freedom = len(self.trials) - (len(best) - components)
        if freedom < _MEANINGFUL_FREEDOM:
            return 1.0
        expected = special.expit(best[self.first] - best[self.second])
        deviance = special.rel_entr(self.scores, expected)
        deviance = deviance + special.rel_entr(1 - self.scores, 1 - expected)
        return max(1.0, float(2 * (self.trials * deviance).sum()) / freedom)

    def connected(self) -> np.ndarray:
        """Returns whether the matches of each agent lead to the anchor."""
        labels = csgraph.connected_components(self._graph(), directed=False)[1]
        return labels == labels[0]

    def _graph(self) -> sparse.coo_array:
        shape = (len(self.precision), len(self.precision))
        return sparse.coo_array((np.ones(len(self.first)), (self.first, self.second)), shape=shape)


def all_but(count: int, *left_out: int | None) -> Int[np.ndarray, " n"]:
    """Returns the numbers below `count` but for these."""
    return np.array([number for number in range(count) if number not in left_out], int)
