"""Ratings of many agents from all matches between them: the Bradley-Terry model."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from selfplay.arena.rating.intervals import rating_bounds
from selfplay.arena.rating.model import RatingModel
from selfplay.arena.statistics import independent_trials
from selfplay.configuration import check_range
from selfplay.errors import ConfigError

ELO = 400 / math.log(10)
"""Points of Elo in one unit of the logistic scale, in which the ratings are computed."""
PRIOR_ELO = 1000.0
"""The usual standard deviation of ratings about their mean, before any match was played."""

# In a pool no opening can prove that two agents are exactly equal, however often both win from
# the better seat: a pair of matches counts for at most so many that are won or lost.
_TRIALS_PER_PAIR = 8.0
# Beyond that the time for exact intervals would be felt, and ratings are many enough.
_PROFILED_AGENTS = 120


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pairing:
    """What came of all matches between two agents.

    Attributes:
        first: name of the agent whose scores are counted.
        second: name of the other one.
        pair_scores: of `first`, mean score of the two matches of each pair, in [0, 1].
        distinct_pairs: how many pairs differ in a move; None for all of them.
    """

    first: str
    second: str
    pair_scores: tuple[float, ...]
    distinct_pairs: int | None = None

    @property
    def score(self) -> float:
        """Returns the mean score of `first`, in [0, 1]."""
        return math.fsum(self.pair_scores) / len(self.pair_scores)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rating:
    """How strong one agent is.

    Attributes:
        agent: its name.
        elo: above the anchor, which has 0.
        low: lower bound of the 95 % interval of `elo`.
        high: its upper bound.
        matches: how many it has played.
        connected: whether its matches lead to the anchor, over other agents if need be. If not,
            only the prior says how far it is from the anchor.
        unbounded: "above" if it has never lost half a point, so that only the prior bounds its
            rating there; "below" if it has never won half a point; else "".
    """

    agent: str
    elo: float
    low: float
    high: float
    matches: int
    connected: bool
    unbounded: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatingTable:
    """Ratings of agents that were computed together.

    Attributes:
        anchor: the agent whose rating is 0 by definition.
        ratings: the strongest first.
        dispersion: by what factor the scores vary more about the model than chance explains, at
            least 1; the intervals contain it. A large one says that one number does not describe
            how strong these agents are, for example because A beats B, B beats C and C beats A.
        prior_elo: standard deviation of the prior.
        covariance: of the ratings in Elo, in the order of `ratings`, as far as the curvature of
            the likelihood tells.
    """

    anchor: str
    ratings: tuple[Rating, ...]
    dispersion: float
    prior_elo: float
    covariance: Float[np.ndarray, "N N"]

    def __getitem__(self, agent: str) -> Rating:
        """Returns the rating of an agent."""
        return next(rating for rating in self.ratings if rating.agent == agent)


def fit_ratings(
    pairings: Sequence[Pairing],
    *,
    anchor: str,
    agents: Sequence[str] = (),
    prior_elo: float = PRIOR_ELO,
    profile: bool = True,
) -> RatingTable:
    """Returns the ratings of all agents, computed at once from all matches, with 95 % intervals.

    The model is that of Bradley and Terry ("Rank analysis of incomplete block designs", 1952): the
    expected score of i against j is 1 / (1 + 10 ** ((elo_j - elo_i) / 400)), a draw counts one
    half. The matches of two agents count for as many independent ones as their pairs are worth
    (`independent_trials`).

    A weak normal prior keeps ratings finite where an agent was never beaten, or has no matches
    that lead to the anchor: ratings lie about their mean with a standard deviation of `prior_elo`
    (Leonard, "An alternative Bayesian approach to the Bradley-Terry model for paired
    comparisons", 1977). Against a hundred matches it weighs nothing.

    The interval of a rating is that of its profile likelihood, prior included (Venzon and
    Moolgavkar, "A method for computing profile-likelihood-based confidence intervals", 1988), so
    it is lopsided where the evidence is; with more than 120 agents it is taken from the curvature.
    It grows with the square root of `dispersion`, the deviance of the scores per degree of
    freedom (McCullagh and Nelder, "Generalized linear models", 1989, section 4.5).

    Args:
        pairings: at most one for each two agents.
        anchor: the agent that has rating 0; it need not have played.
        agents: names of further agents that have no matches yet.
        prior_elo: standard deviation of the prior, above 0.
        profile: whether intervals are those of the profile likelihood; False takes them from the
            curvature, which is quicker.

    Raises:
        ConfigError: a pairing is empty, or of an agent with itself.

    >>> table = fit_ratings(
    ...     [Pairing(first="a", second="random", pair_scores=(1.0, 0.5) * 50)], anchor="random"
    ... )
    >>> round(table["a"].elo)
    191
    """
    check_range("prior_elo", prior_elo, above=0)
    for pairing in pairings:
        if pairing.first == pairing.second or not pairing.pair_scores:
            raise ConfigError(
                f"a pairing of {pairing.first} and {pairing.second} has "
                f"{len(pairing.pair_scores)} pairs, but must have some, of two agents"
            )
    names = dict.fromkeys((anchor, *agents))
    names.update(dict.fromkeys(name for one in pairings for name in (one.first, one.second)))
    model = _model(list(names), pairings, prior_elo / ELO)
    best = model.maximum()
    covariance = np.zeros((len(names), len(names)))
    covariance[1:, 1:] = np.linalg.inv(model.curvature(best)[1:, 1:])
    dispersion = model.dispersion(best)
    covariance *= dispersion
    profile = profile and len(names) <= _PROFILED_AGENTS
    bounds = rating_bounds(model, best, covariance, dispersion, profile=profile)
    connected = model.connected()
    ratings = [
        Rating(
            agent=name,
            elo=ELO * float(best[index]),
            low=ELO * float(bounds[index, 0]),
            high=ELO * float(bounds[index, 1]),
            matches=2 * sum(len(p.pair_scores) for p in pairings if name in (p.first, p.second)),
            connected=bool(connected[index]),
            unbounded=_unbounded(name, pairings),
        )
        for index, name in enumerate(names)
    ]
    order = sorted(range(len(names)), key=lambda index: -ratings[index].elo)
    return RatingTable(
        anchor=anchor,
        ratings=tuple(ratings[index] for index in order),
        dispersion=dispersion,
        prior_elo=prior_elo,
        covariance=ELO**2 * covariance[np.ix_(order, order)],
    )


def _unbounded(name: str, pairings: Sequence[Pairing]) -> str:
    scores = [
        score if name == pairing.first else 1 - score
        for pairing in pairings
        if name in (pairing.first, pairing.second)
        for score in pairing.pair_scores
    ]
    if scores and all(score == 1 for score in scores):
        return "above"
    return "below" if scores and all(score == 0 for score in scores) else ""


def _model(names: Sequence[str], pairings: Sequence[Pairing], prior: float) -> RatingModel:
    """Returns the model of the ratings on the logistic scale; `prior` is its deviation there."""
    index = {name: number for number, name in enumerate(names)}
    count = len(names)
    return RatingModel(
        first=np.array([index[one.first] for one in pairings], int),
        second=np.array([index[one.second] for one in pairings], int),
        trials=np.array([_trials(one) for one in pairings], float),
        scores=np.array([one.score for one in pairings], float),
        # About their mean, of which nothing is assumed.
        precision=(np.eye(count) - 1 / count) / prior**2,
    )


def _trials(pairing: Pairing) -> float:
    distinct = pairing.distinct_pairs
    pairs = len(pairing.pair_scores) if distinct is None else distinct
    trials = independent_trials(pairing.pair_scores, distinct_pairs=distinct)
    return min(trials, _TRIALS_PER_PAIR * pairs)
