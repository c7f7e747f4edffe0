"""A snapshot with every number known."""

from selfplay.telemetry import MistakeRate, Progress, Strength, SuiteScore

FULL = Progress(
    game="connect_four",
    run="runs/connect_four",
    planned_fraction=0.42,
    eta_seconds=520.0,
    state="training",
    device="2 x cpu",
    metrics={
        "elapsed_seconds": 380.0,
        "update": 1200,
        "checkpoint": 1150,
        "newest_checkpoint": 1150,
        "checkpoint_age_seconds": 12.0,
        "matches": 12_345,
        "positions": 456_789,
        "matches_per_second": 12.34,
        "positions_per_second": 456.7,
        "simulations_per_second": 14_600.0,
        "updates_per_second": 7.1,
        "losses": {"policy": 1.034, "value": 0.2, "total": 1.234, "auxiliary_score": 0.01},
        "learning_rate": 0.002,
        "gradient_norm": 0.53,
        "reuse": 3.98,
        "window_positions": 123_456,
        "window_age_updates": 640,
        "mean_length": 31.24,
        "recent_matches": 400,
        "results": {"first": 0.55, "draw": 0.03, "second": 0.42},
        "truncated_share": 0.015,
        "phases": {"play": 0.61, "train": 0.32, "evaluate": 0.05, "other": 0.02},
        "strength": (
            Strength(opponent="random", score=1.0, low=0.89, high=1.0, update=1100, matches=32),
            Strength(
                opponent="mcts:100", score=0.844, low=0.682, high=0.93, update=1100, matches=32
            ),
        ),
        "mistakes": tuple(
            MistakeRate(
                plies=plies,
                share=share,
                low=share - 0.01,
                high=share + 0.02,
                raw_share=2 * share,
                random_share=0.41,
                positions=256,
                update=1100,
            )
            for plies, share in (("all", 0.031), ("0-13", 0.012), ("14-27", 0.053))
        ),
        "suite": (
            SuiteScore(
                suite="tic_tac_toe",
                share=0.8,
                low=0.6,
                high=0.9,
                solved=20,
                positions=25,
                update=1100,
            ),
        ),
        "waiting_seconds": 12.5,
        "starved_seconds": 0.0,
        "backlog_positions": 250,
        "stale_matches": 7,
        "foreign_matches": 2,
        "damaged_files": 1,
        "data_age_seconds": 3.5,
        "staleness_updates": 64,
    },
)

FIRST = Progress(
    game="connect_four",
    run="runs/connect_four",
    metrics={"update": 0, "matches": 0, "positions": 0},
)
