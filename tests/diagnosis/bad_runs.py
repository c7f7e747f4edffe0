"""A made-up run for each finding, with that one cause; and sound ones of many kinds."""

from tests.diagnosis.made_runs import MadeRun

BAD: dict[str, MadeRun] = {
    # As an untrained network predicts.
    "policy learnt": MadeRun(policy={"cross_entropy": 1.75, "entropy": 1.7}),
    "value learnt": MadeRun(sure=0.0, noise=0.2),
    "network too large": MadeRun(weights=20_000_000),
    "network too small": MadeRun(weights=300, policy={"cross_entropy": 1.3, "entropy": 1.25}),
    "plateau": MadeRun(losses=lambda done: 1.5, scores=lambda done: 0.5),
    "overfitting": MadeRun(settings={"replay": {"holdout_share": 0.05}}, gap=0.3),
    "value calibration": MadeRun(sure=6.0, draws=0.7),
    "value bias": MadeRun(bias=0.3),
    "search gain": MadeRun(
        policy={"cross_entropy": 0.703, "entropy": 0.703, "search_entropy": 0.7},
    ),
    "policy entropy": MadeRun(policy={"entropy": 0.3}),
    "draw collapse": MadeRun(draws=0.97),
    "one player wins": MadeRun(first=0.99, draws=0.0),
    "matches cut short": MadeRun(truncated=0.6),
    "opening diversity": MadeRun(openings=2),
    "old targets": MadeRun(settings={"replay": {"min_window": 400_000}}, positions=200_000),
    "stale matches": MadeRun(stale=4000),
    "starved trainer": MadeRun(waiting=0.9),
    "idle workers": MadeRun(worker_waiting=0.8),
    "thin evaluation": MadeRun(evaluation_matches=2),
}

SOUND: dict[str, MadeRun] = {
    "in the middle": MadeRun(),
    "in its first minute": MadeRun(
        updates=150, positions=3000, seconds=40.0, matches=80, losses=lambda done: 2.4
    ),
    "plays a drawn game perfectly": MadeRun(
        draws=0.98,
        mistakes=0.0,
        losses=lambda done: 0.6,
        scores=lambda done: 0.99,
        policy={"cross_entropy": 0.402, "search_entropy": 0.4, "entropy": 0.402},
    ),
    "with workers": MadeRun(waiting=0.2, worker_waiting=0.05, stale=10),
    "keeps matches out": MadeRun(settings={"replay": {"holdout_share": 0.05}}, gap=0.02),
    "flat loss, but stronger and stronger": MadeRun(
        losses=lambda done: 1.5, scores=lambda done: 0.1 + 0.8 * done
    ),
    "long trained": MadeRun(
        updates=200_000, positions=6_000_000, seconds=36_000.0, losses=lambda done: 1.4 - 0.1 * done
    ),
}
