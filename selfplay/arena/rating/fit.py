"""Ratings of many agents from all matches between them: the Bradley-Terry model."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize, sparse, special
from scipy.sparse import csgraph

from selfplay.arena.statistics import Z_95, independent_trials
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
_MEANINGFUL_FREEDOM = 3
_FAR = 30.0
_EXACT = 1e-4


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
    model = _Model.of(list(names), pairings, prior_elo / ELO)
    best = model.maximum()
    covariance = np.zeros((len(names), len(names)))
    covariance[1:, 1:] = np.linalg.inv(model.curvature(best)[1:, 1:])
    dispersion = model.dispersion(best)
    covariance *= dispersion
    profile = profile and len(names) <= _PROFILED_AGENTS
    bounds = _bounds(model, best, covariance, dispersion, profile=profile)
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Model:
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

    @classmethod
    def of(cls, names: Sequence[str], pairings: Sequence[Pairing], prior: float) -> "_Model":
        index = {name: number for number, name in enumerate(names)}
        count = len(names)
        return cls(
            first=np.array([index[one.first] for one in pairings], int),
            second=np.array([index[one.second] for one in pairings], int),
            trials=np.array([_trials(one) for one in pairings], float),
            scores=np.array([one.score for one in pairings], float),
            # About their mean, which nothing is assumed of.
            precision=(np.eye(count) - 1 / count) / prior**2,
        )

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
        free = _without(len(ratings), 0, held)
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


def _without(count: int, *left_out: int | None) -> Int[np.ndarray, " n"]:
    """Returns the numbers below `count` but for these."""
    return np.array([number for number in range(count) if number not in left_out], int)


def _trials(pairing: Pairing) -> float:
    distinct = pairing.distinct_pairs
    pairs = len(pairing.pair_scores) if distinct is None else distinct
    trials = independent_trials(pairing.pair_scores, distinct_pairs=distinct)
    return min(trials, _TRIALS_PER_PAIR * pairs)


def _bounds(
    model: _Model,
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
    model: _Model,
    best: Float[np.ndarray, " N"],
    direction: Float[np.ndarray, " N"],
    limit: float,
    index: int,
    guess: float,
) -> float:
    """Returns how far a rating may move, to the side of `guess`, until its profile is at `limit`.

    Both conditions at once: the others are as likely as they can be, and the loss is `limit`.
    """
    others = _without(len(best), 0, index)
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
    model: _Model,
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
    model: _Model,
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
