"""Ratings: a known order comes back, intervals hold the truth, and nothing is infinite."""

import itertools
import math

import numpy as np
import pytest

from selfplay.arena.rating import intervals
from selfplay.arena.rating.fit import Pairing, fit_ratings
from selfplay.arena.rating.information import information_gains
from selfplay.arena.statistics import elo_from_score, score_from_elo, score_interval
from selfplay.errors import ConfigError


def played(
    random: np.random.Generator,
    truth: dict[str, float],
    pairs: int,
    *,
    met: list[tuple[str, str]] | None = None,
    draws: float = 0.3,
) -> list[Pairing]:
    """Returns matches of agents with known ratings, each two of `met`, by default all."""
    pairings = []
    for first, second in met or list(itertools.combinations(truth, 2)):
        score = score_from_elo(truth[first] - truth[second])
        drawn = draws * min(score, 1 - score)
        chances = [1 - score - drawn / 2, drawn, score - drawn / 2]
        scores = random.choice([0.0, 0.5, 1.0], (pairs, 2), p=chances).mean(axis=1)
        pairings.append(Pairing(first=first, second=second, pair_scores=tuple(scores.tolist())))
    return pairings


def test_a_known_order_comes_back():
    truth = {"random": 0.0, "a": 150.0, "b": 300.0, "c": 420.0, "d": 560.0, "e": 700.0}
    table = fit_ratings(played(np.random.default_rng(0), truth, 100), anchor="random")
    assert [rating.agent for rating in table.ratings] == ["e", "d", "c", "b", "a", "random"]
    for rating in table.ratings:
        assert rating.elo == pytest.approx(truth[rating.agent], abs=60)
        assert rating.low <= rating.elo <= rating.high
        assert rating.matches == 5 * 200 and rating.connected and not rating.unbounded
    anchor = table["random"]
    assert (anchor.elo, anchor.low, anchor.high) == (0, 0, 0)
    assert 1 <= table.dispersion < 2


def test_intervals_hold_the_truth_about_19_times_in_20():
    """In a pool in which not everybody has met, with few matches and one strong agent."""
    truth = {"random": 0.0, "a": 100.0, "b": 250.0, "c": 330.0, "strong": 800.0}
    met = [("a", "random"), ("b", "a"), ("c", "b"), ("c", "a"), ("strong", "c"), ("b", "random")]
    random = np.random.default_rng(1)
    held = []
    for _ in range(100):
        table = fit_ratings(played(random, truth, 16, met=met), anchor="random")
        held += [
            rating.low <= truth[rating.agent] <= rating.high
            for rating in table.ratings
            if rating.agent != "random"
        ]
    # 400 intervals, four of a pool each: their standard error is about 1.5 %.
    assert 0.91 <= np.mean(held) <= 0.99


def test_two_agents_get_about_what_a_match_between_them_gets():
    scores = (1.0, 0.5, 0.75, 0.5, 0.0) * 20
    table = fit_ratings([Pairing(first="a", second="random", pair_scores=scores)], anchor="random")
    interval = score_interval(scores)
    # The prior pulls a little.
    assert table["a"].elo == pytest.approx(elo_from_score(0.55), abs=1)
    assert table["a"].low == pytest.approx(elo_from_score(interval.low), abs=2)
    assert table["a"].high == pytest.approx(elo_from_score(interval.high), abs=2)


def test_an_agent_that_was_never_beaten_gets_a_lopsided_interval():
    pairings = [Pairing(first="a", second="random", pair_scores=(1.0,) * 16)]
    table = fit_ratings(pairings, anchor="random")
    best = table["a"]
    assert best.unbounded == "above" and table["random"].unbounded == "below"
    assert math.isfinite(best.high) and best.high > 2000
    # As far down as an interval of the score says: 16 pairs could be won at 90 % each.
    assert 250 < best.low < 600
    assert best.high - best.elo > 1.5 * (best.elo - best.low)
    # The prior gives way to evidence, and only to that.
    more = fit_ratings(
        [Pairing(first="a", second="random", pair_scores=(1.0,) * 400)], anchor="random"
    )
    assert more["a"].low > best.low + 200


def test_agents_that_never_met_the_others_are_as_uncertain_as_the_prior():
    truth = {"random": 0.0, "a": 200.0}
    apart = {"x": 0.0, "y": 100.0}
    random = np.random.default_rng(3)
    pairings = played(random, truth, 50) + played(random, apart, 50)
    table = fit_ratings(pairings, anchor="random", agents=["new"])
    assert [table[name].connected for name in ("a", "x", "y", "new")] == [True, False, False, False]
    for name in ("x", "y", "new"):
        assert table[name].high - table[name].low > 2000
        assert math.isfinite(table[name].low) and math.isfinite(table[name].high)
    # Among themselves they are known, though.
    assert 30 < table["y"].elo - table["x"].elo < 170
    assert table["new"].matches == 0
    assert table["a"].high - table["a"].low < 200


def test_repeated_pairs_are_no_evidence():
    scores = (1.0, 0.5) * 30
    whole = fit_ratings([Pairing(first="a", second="random", pair_scores=scores)], anchor="random")
    few = fit_ratings(
        [Pairing(first="a", second="random", pair_scores=scores, distinct_pairs=4)],
        anchor="random",
    )
    assert few["a"].high - few["a"].low > 2 * (whole["a"].high - whole["a"].low)


def test_agents_that_beat_each_other_in_a_circle_get_wide_intervals():
    circle = [("a", "b"), ("b", "c"), ("c", "a")]
    bound = [("a", "random"), ("b", "random"), ("c", "random")]
    won = (1.0, 1.0, 0.75, 1.0, 0.5) * 10
    odd = [Pairing(first=one, second=two, pair_scores=won) for one, two in circle + bound]
    even = [Pairing(first=one, second=two, pair_scores=(1.0, 0.0) * 25) for one, two in circle]
    even += [Pairing(first=one, second=two, pair_scores=won) for one, two in bound]
    wide, narrow = (fit_ratings(found, anchor="random") for found in (odd, even))
    assert wide.dispersion > 10 and narrow.dispersion == 1
    assert wide["a"].high - wide["a"].low > 2 * (narrow["a"].high - narrow["a"].low)


def test_openings_that_one_seat_always_wins_do_not_make_agents_equal():
    """Whatever a thousand halves seem to prove, the others must still count."""
    pairings = [
        Pairing(first="a", second="b", pair_scores=(0.5,) * 1000),
        Pairing(first="a", second="random", pair_scores=(1.0, 0.5) * 20),
    ]
    table = fit_ratings(pairings, anchor="random")
    assert table["a"].elo == pytest.approx(table["b"].elo, abs=1)
    index = [rating.agent for rating in table.ratings]
    a, b = index.index("a"), index.index("b")
    cov = table.covariance
    assert math.sqrt(cov[a, a] + cov[b, b] - 2 * cov[a, b]) > 3


def test_a_rating_needs_no_prior_where_there_are_many_matches():
    truth = {"random": 0.0, "a": 150.0, "b": 400.0}
    pairings = played(np.random.default_rng(4), truth, 1000)
    weak = fit_ratings(pairings, anchor="random", prior_elo=1e5)
    usual = fit_ratings(pairings, anchor="random")
    for name in truth:
        assert usual[name].elo == pytest.approx(weak[name].elo, abs=1)


def test_many_agents_take_little_time_and_their_intervals_from_the_curvature():
    truth = {"random": 0.0, **{f"a{number}": 2.0 * number for number in range(1, 160)}}
    met = [(f"a{n}", "random") for n in range(1, 160)]
    table = fit_ratings(played(np.random.default_rng(5), truth, 16, met=met), anchor="random")
    held = [r.low <= truth[r.agent] <= r.high for r in table.ratings if r.agent != "random"]
    assert np.mean(held) > 0.9


def test_what_makes_no_pairing_is_refused():
    for pairing in (
        Pairing(first="a", second="a", pair_scores=(1.0,)),
        Pairing(first="a", second="b", pair_scores=()),
    ):
        with pytest.raises(ConfigError, match="a pairing of a and"):
            fit_ratings([pairing], anchor="random")
    with pytest.raises(ConfigError, match="prior_elo is 0"):
        fit_ratings([], anchor="random", prior_elo=0)


def test_nobody_but_the_anchor():
    (rating,) = fit_ratings([], anchor="random").ratings
    assert (rating.agent, rating.elo, rating.matches) == ("random", 0, 0)


def test_the_next_match_is_where_least_is_known_and_the_result_is_open():
    """b has hardly played; c has, and loses for certain against nobody but the strong one."""
    truth = {"random": 0.0, "a": 200.0, "c": 180.0, "strong": 3000.0}
    pairings = played(np.random.default_rng(6), truth, 200)
    pairings.append(Pairing(first="b", second="random", pair_scores=(1.0, 0.5)))
    table = fit_ratings(pairings, anchor="random")
    names = ["strong", "a", "b", "c", "random"]
    gains = information_gains(table, names)

    def gain(one: str, two: str) -> float:
        return float(gains[names.index(one), names.index(two)])

    assert gain("a", "b") > 5 * gain("a", "c") > 0
    assert gain("a", "b") > gain("strong", "random")
    assert np.allclose(gains, gains.T) and (np.diag(gains) == 0).all()
    # Never more than a match can tell.
    assert gains.max() < math.log(2)


def test_both_ways_to_an_interval_agree():
    """The quick one, and the one that finds it wherever it begins."""
    truth = {"random": 0.0, "a": 300.0, "b": 500.0, "c": 520.0}
    pairings = played(np.random.default_rng(7), truth, 12)
    pairings.append(Pairing(first="best", second="c", pair_scores=(1.0,) * 8))
    quick = fit_ratings(pairings, anchor="random")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "_step", intervals._searched_step)
        slow = fit_ratings(pairings, anchor="random")
    for one, two in zip(quick.ratings, slow.ratings, strict=True):
        assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            intervals, "_searched_step", lambda *arguments: pytest.fail("not found quickly")
        )
        fit_ratings(pairings, anchor="random")
