"""Findings about the network: what it has learnt, and whether it still learns."""

from typing import Any

import numpy as np

from selfplay.diagnosis.evidence import Evidence
from selfplay.diagnosis.finding import Finding, Judgement, problem_if, unknown

_FIRST_UPDATES = 200
_FEWEST_MATCHES = 100
_LEARNT = 0.3
_LEARNT_WELL = 0.6
_CORRELATION = 0.1
_SAMPLES_PER_WEIGHT = 50.0
_HOURS = 24.0
_PLATEAU_UPDATES = 2000
_PLATEAU_CHANGE = 0.03
_BLOCKS = 10
_FEWEST_CHECKPOINTS = 4


def _policy_learnt(evidence: Evidence) -> Judgement:
    if evidence.update < _FIRST_UPDATES:
        return unknown(f"{evidence.update} updates, fewer than {_FIRST_UPDATES}")
    policy = None if evidence.quality is None else evidence.quality.policy
    share = None if policy is None else policy.learnt_share
    if policy is None or share is None:
        return unknown("no matches whose search knew better than a uniform policy were looked at")
    return problem_if(
        share < _LEARNT,
        share,
        f"the network knows {100 * share:.0f} % of what the search knows beyond a uniform policy "
        f"(cross-entropy {policy.cross_entropy:.2f} nats, uniform {policy.uniform:.2f}, best "
        f"possible {policy.search_entropy:.2f})",
    )


def _value_learnt(evidence: Evidence) -> Judgement:
    if evidence.update < _FIRST_UPDATES:
        return unknown(f"{evidence.update} updates, fewer than {_FIRST_UPDATES}")
    found = evidence.value_quality
    if found is None or found.matches < _FEWEST_MATCHES:
        return unknown(f"fewer than {_FEWEST_MATCHES} matches")
    if found.outcome_variance < 0.05:
        return unknown("nearly all matches end alike, so there is nothing to tell apart")
    correlation = found.correlation
    return problem_if(
        correlation < _CORRELATION,
        correlation,
        f"the network's values and the outcomes have a correlation of {correlation:.2f}",
    )


def _network_too_large(evidence: Evidence) -> Judgement:
    if evidence.weights is None:
        return unknown("the network was not looked at")
    if not evidence.positions or evidence.elapsed_seconds < 20:
        return unknown("too little was played")
    hours = evidence.weights / evidence.positions * evidence.elapsed_seconds / 3600
    return problem_if(
        hours > _HOURS,
        hours,
        f"{evidence.weights:,} weights and {evidence.matches_made:,} matches with "
        f"{evidence.positions:,} positions so far: one position per weight takes {hours:.3g} hours",
    )


def _network_too_small(evidence: Evidence) -> Judgement:
    policy = None if evidence.quality is None else evidence.quality.policy
    share = None if policy is None else policy.learnt_share
    if evidence.weights is None or share is None:
        return unknown("the network was not looked at")
    samples = evidence.update * evidence.config.learner.batch_size / evidence.weights
    if samples < _SAMPLES_PER_WEIGHT:
        return unknown(f"{samples:.1f} samples per weight, fewer than {_SAMPLES_PER_WEIGHT:.0f}")
    return problem_if(
        share < _LEARNT_WELL,
        share,
        f"after {samples:,.0f} samples per weight the network knows {100 * share:.0f} % of what "
        "the search knows",
    )


def _plateau(evidence: Evidence) -> Judgement:
    trend = loss_trend(evidence)
    if trend is None:
        return unknown(f"fewer than {_PLATEAU_UPDATES:,} updates with a recorded loss")
    words = (
        f"over the last {trend['updates']:,.0f} updates the loss changed by "
        f"{trend['per_1000']:+.4f} (95 % interval {trend['low']:+.4f} to {trend['high']:+.4f}) "
        "per 1,000 updates"
    )
    share = abs(trend["per_1000"]) * trend["updates"] / 1000 / trend["level"]
    if share > _PLATEAU_CHANGE:
        return problem_if(False, trend["per_1000"], words)
    if evidence.plays_well:
        return problem_if(False, trend["per_1000"], f"{words}; it hardly makes mistakes any more")
    gain = _strength_gain(evidence)
    if gain is None:
        return unknown(f"{words}, but the strength is not known at both ends", trend["per_1000"])
    gained, noise = gain
    words += f", and the score against fixed opponents by {gained:+.3f} (+-{noise:.3f})"
    return problem_if(gained <= noise, trend["per_1000"], words)


def loss_trend(evidence: Evidence) -> dict[str, float] | None:
    """Returns the slope of the total loss over the second half of the updates.

    Keys: `updates` it is of, `per_1000` updates the change, its 95 % interval `low` and `high`, and
    `level`, the mean loss. None if there are too few updates.
    """
    points = evidence.series("loss/total")
    if not len(points) or points[-1, 0] < _PLATEAU_UPDATES:
        return None
    late = points[points[:, 0] >= points[-1, 0] / 2]
    if len(late) < 3 * _BLOCKS:
        return None
    # Neighbours are alike: means of blocks are nearly independent.
    blocks = [block.mean(axis=0) for block in np.array_split(late, _BLOCKS)]
    steps, losses = np.array(blocks).T
    centred = steps - steps.mean()
    slope = float((centred * losses).sum() / (centred**2).sum())
    residuals = losses - losses.mean() - slope * centred
    error = float(np.sqrt((residuals**2).sum() / (_BLOCKS - 2) / (centred**2).sum()))
    # Student's t with 8 degrees of freedom.
    margin = 2.306 * error
    return {
        "updates": float(late[-1, 0] - late[0, 0]),
        "per_1000": 1000 * slope,
        "low": 1000 * (slope - margin),
        "high": 1000 * (slope + margin),
        "level": float(losses.mean()),
    }


def _strength_gain(evidence: Evidence) -> tuple[float, float] | None:
    """Returns the mean gain in score from the middle of the training to now, and its noise."""
    gains, variances = [], []
    by_opponent: dict[str, list[Any]] = {}
    for row in evidence.evaluations:
        # Earlier checkpoints of the run are no fixed opponents.
        if not row["opponent"].startswith("@"):
            by_opponent.setdefault(row["opponent"], []).append(row)
    for rows in by_opponent.values():
        late = [row for row in rows if row["update"] > 2 * evidence.update / 3]
        middle = [
            row for row in rows if evidence.update / 3 < row["update"] <= 2 * evidence.update / 3
        ]
        if not late or not middle:
            continue
        gains.append(_mean_score(late) - _mean_score(middle))
        variances.append(_variance(late) + _variance(middle))
    if not gains:
        return None
    return float(np.mean(gains)), 2 * float(np.sqrt(np.sum(variances))) / len(gains)


def _mean_score(rows: list[Any]) -> float:
    return float(np.mean([row["score"] for row in rows]))


def _variance(rows: list[Any]) -> float:
    """Returns the variance of the mean score, from the 95 % intervals."""
    errors = [(row["high"] - row["low"]) / 4 for row in rows]
    return float(np.sum(np.square(errors))) / len(rows) ** 2


def _overfitting(evidence: Evidence) -> Judgement:
    share = evidence.config.replay.holdout_share
    reuse = (
        evidence.update * evidence.config.learner.batch_size / evidence.positions
        if evidence.positions
        else 0.0
    )
    if not share and not evidence.held_out:
        return unknown(
            f"no matches are kept out of training (replay.holdout_share is 0); each position was "
            f"used {reuse:.1f} times"
        )
    gaps = {name: _gaps(evidence, name) for name in ("policy", "value")}
    known = {name: found for name, found in gaps.items() if found is not None}
    if not known:
        return unknown(
            f"fewer than {_FEWEST_CHECKPOINTS} checkpoints with losses on matches kept out of "
            "training"
        )
    worst = max(known, key=lambda name: known[name][0] / _GAP[name])
    gap, noise = known[worst]
    unit = " nats" if worst == "policy" else ""
    return problem_if(
        gap - noise > 0 and gap > _GAP[worst],
        gap,
        f"the {worst} loss is {gap:+.3f}{unit} (+-{noise:.3f}) higher on matches kept out of "
        f"training; each position was used {reuse:.1f} times",
    )


_GAP = {"policy": 0.1, "value": 0.1}


def _gaps(evidence: Evidence, name: str) -> tuple[float, float] | None:
    """Returns the mean gap over the later half of the kept checkpoints, and twice its error."""
    gaps = [
        losses["held_out"][name] - losses["learnt"][name]
        for losses in evidence.held_out
        if name in losses["held_out"]
    ]
    late = np.array(gaps[len(gaps) // 2 :])
    if len(gaps) < _FEWEST_CHECKPOINTS:
        return None
    return float(late.mean()), 2 * float(late.std(ddof=1)) / float(np.sqrt(len(late)))


FINDINGS = (
    Finding(
        name="policy learnt",
        measures="how far the network's policy has come from a uniform policy to the policy of the "
        "search, as a share, on the newest matches",
        threshold=f"below {_LEARNT} after {_FIRST_UPDATES} updates: sound runs of every bundled "
        "kind pass it within their first minute",
        advice="look at learner.learning_rate: 0.002 suits most games with adamw, above 0.02 "
        "nothing is learnt, below 0.0002 it takes long; then at label_smoothing and policy_weight",
        judge=_policy_learnt,
        decides=True,
    ),
    Finding(
        name="value learnt",
        measures="correlation of the network's values, as it played, with the outcomes",
        threshold=f"below {_CORRELATION} after {_FIRST_UPDATES} updates: chance alone gives up to "
        "0.1 in the matches looked at",
        advice="look at learner.value_weight, learner.learning_rate, and whether the observation "
        "shows all that decides the match (selfplay check GAME --learn)",
        judge=_value_learnt,
        decides=True,
    ),
    Finding(
        name="network too large",
        measures="hours until as many positions have been played as the network has weights",
        threshold=f"above {_HOURS:.0f} hours: such a network learns slowly and plays slowly",
        advice="lower network.blocks or network.channels, or add workers",
        judge=_network_too_large,
    ),
    Finding(
        name="network too small",
        measures="how far the network's policy has come from a uniform policy to that of the "
        f"search, as a share, after {_SAMPLES_PER_WEIGHT:.0f} samples per weight",
        threshold=f"below {_LEARNT_WELL}: more of the same training adds little",
        advice="raise network.channels, then network.blocks",
        judge=_network_too_small,
    ),
    Finding(
        name="plateau",
        measures="slope of the total loss over the second half of the updates, and the change in "
        "score against fixed opponents",
        threshold=f"less than {100 * _PLATEAU_CHANGE:.0f} % of the loss, while the score does not "
        "rise by more than its noise and mistakes are left",
        advice="lower learner.learning_rate (learner.schedule=plateau does it by itself), search "
        "with more simulations, or take a larger network; trainer.stop_at_plateau ends such a run",
        judge=_plateau,
    ),
    Finding(
        name="overfitting",
        measures="loss on matches kept out of training less the loss on matches learnt from",
        threshold=f"above {_GAP['policy']} nats of the policy or {_GAP['value']} of the squared "
        "error of the value, and above twice its noise",
        advice="lower trainer.replay_ratio, raise replay.min_window, or play more matches",
        judge=_overfitting,
    ),
)
