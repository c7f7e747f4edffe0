"""How much another match between two agents would tell about their ratings."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import special

from selfplay.arena.rating.fit import ELO, RatingTable

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)


def information_gains(table: RatingTable, agents: Sequence[str]) -> Float[np.ndarray, "N N"]:
    """Returns the information, in nats, that one match between each two agents is expected to give.

    It is the mutual information of the result and the difference of the two ratings, which is
    taken as normal with the covariance of the table (Lindley, "On a measure of the information
    provided by an experiment", 1956; for paired comparisons Glickman and Jensen, "Adaptive paired
    comparison design", 2005). A match between agents that are known to be equal tells little, one
    whose result is certain tells nothing.

    Args:
        table: the ratings.
        agents: those that can play; rows and columns of the result are in their order. The
            diagonal is 0.
    """
    index = {rating.agent: number for number, rating in enumerate(table.ratings)}
    rows = [index[agent] for agent in agents]
    elo = np.array([table.ratings[row].elo for row in rows])
    covariance = table.covariance[np.ix_(rows, rows)]
    variances = np.diag(covariance)
    spread = variances[:, None] + variances[None, :] - 2 * covariance
    leads = (elo[:, None] - elo[None, :]) / ELO
    errors = np.sqrt(np.maximum(spread, 0)) / ELO
    chances = special.expit(leads[..., None] + errors[..., None] * _NODES)
    weights = _WEIGHTS / _WEIGHTS.sum()
    gains = _entropy(chances @ weights) - _entropy(chances) @ weights
    np.fill_diagonal(gains, 0.0)
    return np.maximum(gains, 0.0)


def _entropy(chances: np.ndarray) -> np.ndarray:
    """Returns the entropy, in nats, of a match that is won with these probabilities."""
    return special.entr(chances) + special.entr(1 - chances)
