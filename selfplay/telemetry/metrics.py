"""Every metric of selfplay, one entry each; all sinks and the documentation read this table."""

from collections.abc import Iterable, Mapping
from typing import Any

from selfplay.telemetry import words
from selfplay.telemetry.metric import ROWS, Metric, Text

PHASES = ("play", "train", "evaluate", "other")
"""What a trainer spends its time on."""


def _text(template: str) -> Text:
    return lambda value: [template.format(value)]


def _if_any(template: str) -> Text:
    """Formats a count; returns nothing for 0."""
    return lambda value: [template.format(value)] if value else []


def _rate(unit: str) -> Text:
    return lambda value: [words.rate(value, unit)]


def _shares(names: Iterable[str]) -> Text:
    return lambda value: [f"{name} {words.percent(value[name])}" for name in names if name in value]


def _counted(singular: str, plural: str, rest: str) -> Text:
    return lambda value: [f"{value:,} {singular if value == 1 else plural} {rest}"] if value else []


# fmt: off
METRICS: dict[str, Metric] = {metric.key: metric for metric in (
    # The process.
    Metric("ready", "0 or 1", "TWER", "", "whether the process does its work",
           tensorboard="", heartbeat=False, log=False),
    Metric("heartbeat_age_seconds", "seconds", "TWER", "",
           "since the main loop last reported",
           tensorboard="", heartbeat=False, log=False),
    Metric("elapsed_seconds", "seconds", "TWER", "plan",
           "trainer: time trained, over all sessions of the run; others: since the start",
           counter=True, text=lambda value: [words.duration(value)],
           tensorboard="time/elapsed_seconds"),
    Metric("update", "updates", "TWER", "learn", "number of updates made to the weights in use",
           text=_text("update {:,}"), line="T", tensorboard=""),
    Metric("checkpoint", "updates", "TWER", "saved",
           "trainer: newest checkpoint written; others: checkpoint in use",
           text=_text("checkpoint {:,}"), line="WR", prometheus="checkpoint_update",
           tensorboard=""),
    Metric("newest_checkpoint", "updates", "TWER", "",
           "newest checkpoint that the process knows of",
           prometheus="newest_checkpoint_update", tensorboard=""),
    Metric("accepted_update", "updates", "T", "learn",
           "updates behind the weights that passed the gate last (`trainer.gate`)",
           text=_text("self-play with {:,}")),
    Metric("checkpoint_age_seconds", "seconds", "TW", "",
           "trainer: since it last wrote a checkpoint; worker: since it picked up the one in use",
           tensorboard=""),
    Metric("store_errors", "failures", "TWER", "", "failed requests to the store; all are retried",
           counter=True, tensorboard="", heartbeat=False, log=False),

    # Self-play.
    Metric("matches", "matches", "TW", "play",
           "trainer: matches taken in, its own included; worker: matches finished",
           counter=True, text=_text("{:,} matches"), tensorboard="rollout/matches"),
    Metric("positions", "positions", "TW", "play", "positions recorded",
           counter=True, text=_text("{:,} positions"), tensorboard="rollout/positions"),
    Metric("mean_length", "plies", "TW", "play", "mean length of recent matches",
           text=_text("{:.1f} plies per match"), line="", prometheus="match_length_plies",
           tensorboard="rollout/mean_length"),
    Metric("matches_in_progress", "matches", "W", "", "matches played at the same time"),
    Metric("simulations", "simulations", "WR", "", "network evaluations in searches", counter=True),
    Metric("queue_files", "files", "W", "", "files of finished matches that are not stored yet",
           prometheus="queued_files"),
    Metric("matches_per_second", "matches/s", "TWE", "speed", "finished matches, at present",
           text=_rate("matches"), line="TW", tensorboard="rate/matches_per_second"),
    Metric("positions_per_second", "positions/s", "TW", "speed", "recorded positions, at present",
           text=_rate("positions"), tensorboard="rate/positions_per_second"),
    Metric("simulations_per_second", "simulations/s", "TWR", "speed",
           "network evaluations in searches, at present",
           text=_rate("simulations"), tensorboard="rate/simulations_per_second"),
    Metric("results", "share in [0, 1]", "TW", "results",
           "of recent matches: wins of the first player, draws, wins of the second",
           label="result", prometheus="match_results_ratio", tensorboard="results",
           # Which player wins more often depends on the game; draws show how play develops.
           text=words.results, line="T",
           line_text=lambda value: [part for part in words.results(value)
                                    if part.startswith("draws")]),
    Metric("truncated_share", "share in [0, 1]", "TW", "results",
           "of recent matches: those ended by max_plies",
           text=lambda value: [f"cut by max_plies {words.percent(value)}"], line="T",
           prometheus="matches_truncated_ratio", tensorboard="results/truncated"),
    Metric("resigned_share", "share in [0, 1]", "TW", "results",
           "of recent matches: those that a player gave up (`rollout.resign_share`)",
           text=lambda value: [f"resigned {words.percent(value)}"] if value else [], line="",
           prometheus="matches_resigned_ratio", tensorboard="results/resigned"),
    Metric("resign_threshold", "points in [-1, 1]", "TW", "results",
           "value at or below which players give up; missing while nobody does",
           text=_text("at {:.2f} or below"), line="", tensorboard="results/resign_threshold"),
    Metric("false_resign_rate", "share in [0, 1]", "TW", "results",
           "of the resignations that matches played to the end would have had: those of players "
           "who did not lose",
           text=lambda value: [f"falsely {words.percent(value)}"], line="",
           prometheus="false_resign_ratio", tensorboard="results/false_resign_rate"),
    Metric("solver_agreement", "share in [0, 1]", "TW", "results",
           "of the positions near the ends of recent matches that the game's solver knows: those "
           "where the likeliest move of the search is a best one (`rollout.solver`)",
           text=lambda value: [f"agrees with the solver {words.percent(value)}"], line="",
           prometheus="solver_agreement_ratio", tensorboard="results/solver_agreement"),
    Metric("solver_value_error", "points in [0, 2]", "TW", "results",
           "there: mean distance of the value of the search from the exact one",
           text=_text("value off by {:.2f}"), line="", tensorboard="results/solver_value_error"),
    Metric("recent_matches", "matches", "TW", "results",
           "number of recent matches behind length, results and truncated share",
           text=_if_any("of the last {:,} matches"), line="", prometheus="", tensorboard=""),

    # Learning.
    Metric("updates_per_second", "updates/s", "T", "learn", "updates, at present",
           text=_rate("updates"), line="", tensorboard="rate/updates_per_second"),
    Metric("learning_rate", "", "T", "learn", "learning rate of the latest update",
           text=_text("learning rate {:.2g}"), line="", tensorboard="learner/learning_rate"),
    Metric("gradient_norm", "", "T", "learn", "global norm of the gradient before clipping",
           text=_text("gradient norm {:.2g}"), line="", tensorboard="learner/gradient_norm"),
    Metric("losses", "nats", "T", "loss", "each term of the loss, and their weighted sum (total)",
           label="head", text=words.losses, prometheus="loss_nats", tensorboard="loss",
           line_text=lambda value: [f"loss {part}" for part in words.losses(value)]),
    Metric("held_out_losses", "", "T", "loss",
           "of the newest checkpoint on matches kept out of training (`replay.holdout_share`): "
           "cross-entropy of the policy in nats, squared error of the value",
           label="head", text=words.of_each("held out {name} {number:.3f}"), line="",
           prometheus="held_out_loss", tensorboard="held_out"),
    Metric("overfitting", "", "T", "loss",
           "by how much those losses exceed the same losses on matches learnt from",
           label="head", text=words.of_each("{name} overfitted by {number:+.3f}"), line="",
           tensorboard="overfitting"),
    Metric("held_out_matches", "matches", "T", "replay", "kept out of training", counter=True,
           text=_counted("match", "matches", "kept out"), line="",
           tensorboard="replay/held_out_matches"),
    Metric("window_positions", "positions", "T", "replay",
           "positions in the replay window, from which batches are sampled",
           text=_text("window {:,} positions")),
    Metric("window_age_updates", "updates", "T", "replay",
           "mean age of the targets in the replay window",
           text=_text("{:,} updates old on average")),
    Metric("reuse", "samples/position", "T", "replay",
           "replay ratio: training samples drawn per recorded position, over the whole run",
           text=_text("replay ratio {:.2f} samples/position"), prometheus="reuse_ratio"),
    Metric("backlog_positions", "positions", "T", "replay",
           "positions taken in but not yet learnt from as often as the replay ratio asks",
           text=_if_any("{:,} positions to learn from"), tensorboard="workers/backlog_positions"),

    # Reanalysis.
    Metric("reanalysed_positions", "positions", "TR", "replay",
           "searched again for newer targets; trainer: those taken in, over the whole run",
           counter=True, text=_if_any("{:,} positions searched again")),
    Metric("reanalysed_per_second", "positions/s", "TR", "speed",
           "positions searched again by this process, at present",
           text=lambda value: [words.rate(value, "positions searched again")] if value else [],
           tensorboard="rate/reanalysed_per_second"),
    Metric("reanalysis_policy_change", "nats", "TR", "replay",
           "mean Kullback-Leibler divergence of a new policy target from the one before, of what "
           "this process searched again last",
           text=_text("policies changed by {:.3f} nats"), line="R"),
    Metric("reanalysis_value_change", "points", "TR", "replay",
           "mean distance of a new root value from the one before, likewise",
           text=_text("values by {:.3f}"), line="R"),

    # Between the processes.
    Metric("data_age_seconds", "seconds", "T", "workers",
           "since the newest matches of another process arrived",
           text=lambda value: [f"newest matches {words.duration(value)} old"]),
    Metric("staleness_updates", "updates", "TWER", "workers",
           "how far the weights in use are behind the newest; trainer: of its slowest worker",
           text=_text("weights at most {:,} updates behind"), line="T"),
    Metric("stale_matches", "matches", "T", "workers",
           "left out because the checkpoint that played them is too old", counter=True,
           text=_counted("stale match", "stale matches", "left out"), tensorboard="left_out/stale"),
    Metric("foreign_matches", "matches", "T", "workers",
           "left out because their settings or rules differ from those of the run", counter=True,
           text=_counted("foreign match", "foreign matches", "left out"),
           tensorboard="left_out/foreign"),
    Metric("damaged_files", "files", "T", "workers",
           "set aside because they cannot be read or break the rules",
           counter=True, text=_counted("damaged file", "damaged files", "set aside")),
    Metric("pickup_seconds", "seconds", "W", "",
           "from the publication of the checkpoint in use to the first chunk played with it"),
    Metric("median_pickup_seconds", "seconds", "W", "",
           "median over the newest 1,000 checkpoints picked up"),
    Metric("worst_pickup_seconds", "seconds", "W", "", "longest since the worker started"),
    Metric("waiting_seconds", "seconds", "TWR", "",
           "spent waiting: for data, for the trainer to catch up, or for the store",
           counter=True, tensorboard="time/waiting_seconds"),
    Metric("starved_seconds", "seconds", "T", "",
           "since matches last arrived while the trainer waits for them; otherwise 0",
           tensorboard=""),
    Metric("phases", "share in [0, 1]", "T", "time", f"share of the wall time: {', '.join(PHASES)}",
           label="phase", text=_shares(PHASES), line="", prometheus="time_ratio",
           tensorboard="time_share"),

    # Evaluation.
    Metric("evaluations", "checkpoints", "E", "", "checkpoints rated", counter=True),
    Metric("evaluation_matches", "matches", "E", "", "matches played to rate checkpoints",
           counter=True),
    Metric("strength", "points per match in [0, 1]", "TE", "strength",
           "latest score against each opponent; a draw counts one half",
           label="opponent", prometheus="strength_score_ratio", heartbeat=False, line="T",
           text=lambda value: [f"{one.opponent} {words.score(one)}" for one in value]),
    Metric("mistakes", "share in [0, 1]", "TE", "mistakes",
           "share of solved positions that the newest measured checkpoint plays wrongly:"
           " all, and by plies",
           label="plies", prometheus="mistakes_ratio", heartbeat=False, line="T",
           text=words.mistakes,
           line_text=lambda value: [f"mistakes {text}" for text in words.mistakes(value)[:1]]),
    Metric("suite", "share in [0, 1]", "TE", "suite",
           "of the positions of a suite that the newest asked checkpoint solves",
           label="suite", prometheus="suite_solved_ratio", heartbeat=False, line="T",
           text=lambda value: [words.suite(one) for one in value],
           line_text=lambda value: [f"suite {words.suite(one)}" for one in value]),
)}
"""Every metric, by key. A new one needs an entry here and the code that computes its value."""
# fmt: on


def of_role(role: str) -> list[Metric]:
    """Returns the metrics of a "trainer", "worker", "evaluator" or "reanalyzer"."""
    return [metric for metric in METRICS.values() if metric.of(role)]


def rows(values: Mapping[str, Any], *, leave_out: Iterable[str] = ()) -> dict[str, list[str]]:
    """Returns what to show of a trainer's metrics, as texts with units by row of the screen.

    Args:
        values: by key; those that are not known are left out.
        leave_out: keys of metrics not to show.
    """
    shown: dict[str, list[str]] = {row: [] for row in ROWS}
    for metric in of_role("trainer"):
        if metric.row in shown and metric.key not in leave_out:
            shown[metric.row] += metric.parts(values.get(metric.key))
    return {row: parts for row, parts in shown.items() if parts}


def line_parts(values: Mapping[str, Any], role: str) -> list[str]:
    """Returns what a line of the text log shows, except for the elapsed time it begins with."""
    return [
        part
        for metric in of_role(role)
        if metric.in_line(role) and metric.key != "elapsed_seconds"
        for part in metric.line_parts(values.get(metric.key))
    ]


def written(values: Mapping[str, Any], metrics: Iterable[Metric]) -> dict[str, Any]:
    """Returns the values of these metrics by key; None or an empty mapping where not known."""
    return {one.key: values.get(one.key, {} if one.label else None) for one in metrics}


def heartbeat_values(values: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Returns the values that the heartbeat of a role holds, by key."""
    return written(values, (metric for metric in of_role(role) if metric.heartbeat))


def reference() -> str:
    """Returns the table of the documentation, in Markdown."""
    lines = [
        " | ".join(
            (
                f"`{one.key}`",
                _name(one.prometheus_name, f" by `{one.label}`" if one.label else ""),
                "counter" if one.counter else "gauge",
                _name(_tags(one)),
                one.unit or "-",
                ", ".join(one.processes),
                one.help,
            )
        )
        for one in METRICS.values()
    ]
    header = "name | Prometheus | kind | TensorBoard | unit | processes | meaning"
    return "\n".join(f"| {row} |" for row in (header, " | ".join(["---"] * 7), *lines)) + "\n"


def _tags(metric: Metric) -> str:
    tag = metric.tensorboard_tag
    return f"{tag}/{metric.label.upper()}" if tag and metric.label else tag


def _name(name: str, rest: str = "") -> str:
    return f"`{name}`{rest}" if name else "-"
