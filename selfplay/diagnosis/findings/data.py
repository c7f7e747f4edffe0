"""Findings about the matches: how they end, how they begin, and how old they are."""

import collections
import math
from collections.abc import Sequence

import numpy as np

from selfplay.arena import wilson_interval
from selfplay.diagnosis.evidence import Evidence
from selfplay.diagnosis.finding import Finding, Judgement, problem_if, unknown

_FEWEST_MATCHES = 100
_DRAWS = 0.9
_ONE_SIDED = 0.95
_CUT = 0.25
_OPENING_PLIES = 4
_OPENINGS = 5.0
_WHOLE_WINDOW = 0.9
_WINDOW_POSITIONS = 40_000
_STALE = 0.05


def _few(evidence: Evidence) -> Judgement | None:
    count = len(evidence.matches)
    return None if count >= _FEWEST_MATCHES else unknown(f"{count} matches, fewer than 100")


def _draws(evidence: Evidence) -> Judgement:
    if few := _few(evidence):
        return few
    share = _share([match.returns[0] == 0 for match in evidence.matches])
    first = evidence.series("results/draw")
    earlier = f", {100 * first[0, 1]:.0f} % in the beginning" if len(first) else ""
    words = f"{100 * share:.0f} % of the newest {len(evidence.matches)} matches are drawn{earlier}"
    if share > _DRAWS and evidence.plays_well:
        return problem_if(False, share, f"{words}, rightly: it hardly makes mistakes")
    return problem_if(share > _DRAWS, share, words)


def _one_sided(evidence: Evidence) -> Judgement:
    if few := _few(evidence):
        return few
    shares = {
        "first": _share([match.returns[0] > 0 for match in evidence.matches]),
        "second": _share([match.returns[0] < 0 for match in evidence.matches]),
    }
    name = max(shares, key=lambda one: shares[one])
    low = wilson_interval(shares[name], len(evidence.matches)).low
    words = (
        f"the {name} player wins {100 * shares[name]:.0f} % of the newest "
        f"{len(evidence.matches)} matches (surely above {100 * low:.0f} %)"
    )
    if evidence.plays_well:
        return problem_if(False, shares[name], f"{words}; it hardly makes mistakes")
    return problem_if(shares[name] > _ONE_SIDED, shares[name], words)


def _cut(evidence: Evidence) -> Judgement:
    if few := _few(evidence):
        return few
    share = _share([match.truncated for match in evidence.matches])
    words = f"max_plies ends {100 * share:.0f} % of the newest {len(evidence.matches)} matches"
    return problem_if(share > _CUT, share, words)


def _openings(evidence: Evidence) -> Judgement:
    if few := _few(evidence):
        return few
    lines = [
        tuple(match.actions[:_OPENING_PLIES].tolist())
        for match in evidence.matches
        if match.plies >= _OPENING_PLIES
    ]
    if len(lines) < _FEWEST_MATCHES:
        return unknown(f"fewer than 100 matches have {_OPENING_PLIES} plies")
    number = _effective(lines)
    distinct = len({match.actions.tobytes() for match in evidence.matches})
    return problem_if(
        number < _OPENINGS,
        number,
        f"the first {_OPENING_PLIES} plies are as diverse as {number:.1f} equally frequent "
        f"openings; {distinct} of {len(evidence.matches)} matches differ",
    )


def _effective(lines: Sequence[tuple[int, ...]]) -> float:
    """Returns the exponential of the entropy: how many equally frequent lines are as diverse."""
    shares = np.array(list(collections.Counter(lines).values())) / len(lines)
    return math.exp(-float((shares * np.log(shares)).sum()))


def _old_targets(evidence: Evidence) -> Judgement:
    positions = evidence.positions
    if positions < _WINDOW_POSITIONS:
        return unknown(f"{positions:,} positions, fewer than {_WINDOW_POSITIONS:,}")
    held = min(evidence.config.replay.window(positions), positions)
    share = held / positions
    ages = evidence.series("replay/window_age_updates")
    age = f", {ages[-1, 1]:,.0f} updates old on average" if len(ages) else ""
    return problem_if(
        share > _WHOLE_WINDOW,
        share,
        f"the replay window holds {100 * share:.0f} % of all positions ever played{age}: those of "
        "the untrained network too"
        if share > _WHOLE_WINDOW
        else f"the replay window holds {100 * share:.0f} % of all positions ever played{age}",
    )


def _stale_matches(evidence: Evidence) -> Judgement:
    taken = int(evidence.cursor.get("matches", 0))
    stale = int(evidence.cursor.get("left_out", {}).get("stale", 0))
    if taken + stale < _FEWEST_MATCHES:
        return unknown("fewer than 100 matches came")
    share = stale / (taken + stale)
    return problem_if(
        share > _STALE,
        share,
        f"{100 * share:.0f} % of all matches were left out because their weights were too old",
    )


def _share(flags: Sequence[bool]) -> float:
    return float(np.mean(flags))


FINDINGS = (
    Finding(
        name="draw collapse",
        measures="share of draws in the newest matches",
        threshold=f"above {_DRAWS}, unless a solver says that draws are right: outcomes that are "
        "all alike teach no values",
        advice="raise rollout.random_opening_share and random_opening_plies, search with more "
        "simulations; or change the rules so that draws are rarer",
        judge=_draws,
    ),
    Finding(
        name="one player wins",
        measures="share of the newest matches that one seat wins",
        threshold=f"above {_ONE_SIDED}, unless a solver says that play is right: outcomes that are "
        "all alike teach no values",
        advice="raise rollout.random_opening_share and random_opening_plies, so that matches begin "
        "from uneven positions of both kinds; for a game of your own, a swap rule",
        judge=_one_sided,
    ),
    Finding(
        name="matches cut short",
        measures="share of the newest matches that max_plies ends",
        threshold=f"above {_CUT}: their outcome is not what the rules would say",
        advice="raise max_plies of the game, or let returns score an unfinished position",
        judge=_cut,
    ),
    Finding(
        name="opening diversity",
        measures=f"effective number of different openings of {_OPENING_PLIES} plies in the newest "
        "matches: as diverse as so many equally frequent ones",
        threshold=f"below {_OPENINGS:.0f}: sound settings give dozens even in tic-tac-toe",
        advice="raise rollout.random_opening_share, search.sampling_plies or search.gumbel_scale",
        judge=_openings,
    ),
    Finding(
        name="old targets",
        measures="share of all positions ever played that the replay window still holds",
        threshold=f"above {_WHOLE_WINDOW} after {_WINDOW_POSITIONS:,} positions: the default "
        "window has begun to forget by then",
        advice="lower replay.min_window, replay.growth or replay.max_window",
        judge=_old_targets,
    ),
    Finding(
        name="stale matches",
        measures="share of matches left out because of trainer.max_staleness",
        threshold=f"above {_STALE}: that work is lost",
        advice="see in selfplay status which worker plays with old weights, and why; or raise "
        "trainer.max_staleness",
        judge=_stale_matches,
    ),
)
