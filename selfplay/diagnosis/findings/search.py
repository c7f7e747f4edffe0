"""Findings about the search beside the raw network."""

from selfplay.diagnosis.evidence import Evidence
from selfplay.diagnosis.finding import Finding, Judgement, problem_if, unknown
from selfplay.evaluation.predictions import PolicyQuality

_GAIN = 0.01
_SHARPER = 0.15
_FLATTER = 0.75


def _policy(evidence: Evidence) -> PolicyQuality | None:
    return None if evidence.quality is None else evidence.quality.policy


def _search_gain(evidence: Evidence) -> Judgement:
    policy = _policy(evidence)
    if policy is None:
        return unknown("the network was not looked at")
    gain = policy.cross_entropy - policy.search_entropy
    words = (
        f"the searched policy is {gain:.3f} nats away from the network's, and both have the same "
        f"first choice in {100 * policy.top[1]:.0f} % of positions"
    )
    simulations = evidence.config.search.num_simulations
    if simulations == 0:
        return problem_if(True, gain, f"search.num_simulations is 0: {words}")
    if gain >= _GAIN or evidence.plays_well:
        return problem_if(False, gain, words)
    best = max((row["low"] for row in evidence.evaluations[-4:]), default=0.0)
    if best > 0.9:
        return unknown(f"{words}; play may be near perfect", gain)
    return problem_if(True, gain, words)


def _entropy(evidence: Evidence) -> Judgement:
    policy = _policy(evidence)
    if policy is None:
        return unknown("the network was not looked at")
    difference = policy.entropy - policy.cross_entropy
    return problem_if(
        difference < -_SHARPER or difference > _FLATTER,
        difference,
        f"the network's policy has an entropy of {policy.entropy:.2f} nats, the searched one "
        f"{policy.search_entropy:.2f}, and its cross-entropy is {policy.cross_entropy:.2f}: it is "
        + (
            "too sure"
            if difference < -_SHARPER
            else "too flat"
            if difference > _FLATTER
            else "as sure as it may be"
        ),
    )


FINDINGS = (
    Finding(
        name="search gain",
        measures="nats between the network's policy and the searched one, on the newest matches",
        threshold=f"below {_GAIN} while mistakes are left: the search teaches nothing new",
        advice="raise search.num_simulations; 0 plays the raw network, fewer than 8 help little",
        judge=_search_gain,
    ),
    Finding(
        name="policy entropy",
        measures="entropy of the network's policy less its cross-entropy with the searched one",
        threshold=f"below -{_SHARPER} (surer than it is right) or above {_FLATTER} (flatter than "
        "it needs to be); a well-calibrated policy has 0",
        advice="too sure: a lower trainer.replay_ratio or more search.num_simulations; too flat: a "
        "lower learner.label_smoothing, a higher learner.learning_rate",
        judge=_entropy,
    ),
)
