"""Findings about the processes and the evaluation: who waits, and can progress be seen?"""

import numpy as np

from selfplay.arena import wilson_interval
from selfplay.diagnosis.evidence import Evidence
from selfplay.diagnosis.finding import Finding, Judgement, problem_if, unknown

_WAITING = 0.5
_RESTING = 0.3
_FEWEST_SECONDS = 20.0
_POOLED = 5
_WIDTH = 0.16
_DISTINCT = 0.5


def _starved_trainer(evidence: Evidence) -> Judgement:
    waited = evidence.series("time/waiting_seconds")
    elapsed = evidence.series("time/elapsed_seconds")
    count = min(len(waited), len(elapsed))
    if count < 2:
        return unknown("no waiting time was recorded")
    # It begins anew with every session, so only what it grows by counts.
    grown = float(np.clip(np.diff(waited[-count:, 1]), 0, None).sum())
    passed = float(elapsed[-1, 1] - elapsed[-count, 1])
    # Without an update nothing is recorded: the trainer says itself how long it has waited.
    for beat in evidence.heartbeats:
        if beat.role == "trainer" and beat.alive:
            starved = float(beat.fields.get("starved_seconds") or 0.0)
            grown, passed = grown + starved, passed + starved
    if passed < _FEWEST_SECONDS:
        return unknown(f"{passed:.0f} seconds of training, fewer than {_FEWEST_SECONDS:.0f}")
    share = min(1.0, grown / passed)
    words = f"the trainer waited for matches {100 * share:.0f} % of its time"
    return problem_if(share > _WAITING, share, words)


def _idle_workers(evidence: Evidence) -> Judgement:
    shares = {
        beat.id: min(1.0, float(beat.fields.get("waiting_seconds") or 0.0) / elapsed)
        for beat in evidence.heartbeats
        if beat.role == "worker"
        and beat.alive
        and (elapsed := float(beat.fields.get("elapsed_seconds") or 0.0)) >= _FEWEST_SECONDS
    }
    if not shares:
        return unknown("no worker has been alive for 20 seconds")
    mean = float(np.mean(list(shares.values())))
    worst = max(shares, key=lambda id: shares[id])
    return problem_if(
        mean > _RESTING,
        mean,
        f"{len(shares)} workers paused {100 * mean:.0f} % of their time on average, {worst} "
        f"{100 * shares[worst]:.0f} %",
    )


def _thin_evaluation(evidence: Evidence) -> Judgement:
    if not evidence.config.evaluation.enabled and not evidence.evaluations:
        return problem_if(True, 0.0, "the strength is not measured: evaluation.enabled is false")
    by_opponent: dict[str, list[tuple[float, int, int]]] = {}
    for row in evidence.evaluations:
        if not row["opponent"].startswith("@"):
            distinct = int(row.get("distinct_matches", row["matches"]))
            counts = (float(row["score"]), int(row["matches"]), distinct)
            by_opponent.setdefault(row["opponent"], []).append(counts)
    full = {name: rows[-_POOLED:] for name, rows in by_opponent.items() if len(rows) >= _POOLED}
    if not full:
        return unknown(f"fewer than {_POOLED} evaluations against one opponent")
    widths = {}
    for name, rows in full.items():
        matches, distinct = sum(row[1] for row in rows), sum(row[2] for row in rows)
        score = sum(row[0] * row[1] for row in rows) / matches
        low, high = wilson_interval(score, max(1, distinct))
        widths[name] = ((high - low) / 2, matches, distinct)
    # One opponent that tells is enough.
    name = min(widths, key=lambda one: widths[one][0])
    width, matches, distinct = widths[name]
    return problem_if(
        width > _WIDTH or distinct < _DISTINCT * matches,
        width,
        f"the last {_POOLED} evaluations together know the score against {name} to +-{width:.2f}: "
        f"{matches} matches, {distinct} of them distinct",
    )


FINDINGS = (
    Finding(
        name="starved trainer",
        measures="share of its time that the trainer waits for matches of workers",
        threshold=f"above {_WAITING}: more matches would mean more updates",
        advice="add workers, or use each match more often: trainer.replay_ratio",
        judge=_starved_trainer,
    ),
    Finding(
        name="idle workers",
        measures="share of their time that workers pause because the trainer is behind, or for the "
        "store",
        threshold=f"above {_RESTING}: those cores could do something else",
        advice="fewer workers, a faster trainer, or a lower trainer.replay_ratio, so that each "
        "match costs the trainer less",
        judge=_idle_workers,
    ),
    Finding(
        name="thin evaluation",
        measures=f"half the 95 % interval of the score over the last {_POOLED} evaluations "
        "against the opponent for which it is smallest",
        threshold=f"above {_WIDTH}, about 110 Elo, or fewer than half of the matches distinct: "
        "progress cannot be told from luck",
        advice="raise evaluation.matches or evaluation.share, or run a separate evaluator",
        judge=_thin_evaluation,
    ),
)
