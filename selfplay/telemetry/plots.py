"""Plots of a training run."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.telemetry.figures import new_figure
from selfplay.telemetry.results import mistake_rates
from selfplay.telemetry.tensorboard import Point

_LOSSES_SHOWN = 6


def plot_training(
    evaluations: Sequence[Mapping[str, Any]],
    scalars: Mapping[str, Sequence[Point]],
    output: Path,
    *,
    title: str,
    mistakes: Sequence[Mapping[str, Any]] = (),
    suites: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Draws strength with its 95 % intervals and the losses over training time.

    If mistakes against perfect play were counted, they are drawn in between.

    Args:
        evaluations: each with "update", "opponent", "score", "low", "high" and, if known, the
            "elapsed_seconds" of training.
        scalars: as `read_scalars` returns them.
        output: the file to write; its suffix chooses the format.
        title: what was trained.
        mistakes: as `read_mistakes` returns them.
        suites: as `read_suite_results` returns them; drawn with the strength, without intervals.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    heights = (3, 2, 2) if mistakes else (3, 2)
    figure, (above, *between, below) = new_figure("drawing a training curve", heights=heights)

    minutes_at = {point.step: point.value / 60 for point in scalars.get("time/elapsed_seconds", ())}
    rows = (*evaluations, *mistakes, *suites)
    by_time = bool(minutes_at) or any("elapsed_seconds" in one for one in rows)

    by_opponent: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in evaluations:
        by_opponent[str(one["opponent"])].append(one)
    for opponent, results in by_opponent.items():
        x = [_minutes(one, minutes_at) if by_time else one["update"] for one in results]
        score, low, high = ([100 * one[k] for one in results] for k in ("score", "low", "high"))
        (line,) = above.plot(x, score, marker="o", markersize=3, label=f"against {opponent}")
        above.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    by_suite: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in suites:
        by_suite[str(one["suite"])].append(one)
    for suite, results in by_suite.items():
        x = [_minutes(one, minutes_at) if by_time else one["update"] for one in results]
        share = [100 * one["share"] for one in results]
        above.plot(x, share, linestyle="--", linewidth=1, label=f"solved of suite {suite}")
    above.set_ylabel("score, % (band: 95 % interval)")
    above.set_ylim(-2, 102)
    above.set_title(f"{title}: strength during training", loc="left")

    for axes in between:
        x = [_minutes(one, minutes_at) if by_time else one["update"] for one in mistakes]
        _draw_mistakes(axes, x, mistakes)

    names = sorted(name for name in scalars if name.startswith("loss/"))
    names.sort(key=lambda name: name != "loss/total")
    for name in names[:_LOSSES_SHOWN]:
        points = [p for p in scalars[name] if not by_time or p.step in minutes_at]
        x = [minutes_at[point.step] if by_time else point.step for point in points]
        label = name.partition("/")[2].replace("_", " ")
        below.plot(x, [point.value for point in points], linewidth=1, label=label)
    below.set_ylabel("loss, nats")
    below.set_xlabel("training time, minutes" if by_time else "updates")
    for axes in (above, *between, below):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small", loc="best")
    figure.savefig(output)


def _draw_mistakes(axes: Any, x: Sequence[float], records: Sequence[Mapping[str, Any]]) -> None:
    """Draws mistakes over all plies with their interval, by phases, and without search."""
    share, low, high = ([100 * one[k] for one in records] for k in ("share", "low", "high"))
    (line,) = axes.plot(x, share, marker="o", markersize=3, label="all plies")
    axes.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    raw = [
        (at, 100 * one["raw_share"])
        for at, one in zip(x, records, strict=True)
        if one["raw_share"] is not None
    ]
    if raw:
        axes.plot(*zip(*raw, strict=True), linestyle=":", label="without search")
    phases: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for at, one in zip(x, records, strict=True):
        for rate in mistake_rates(one)[1:]:
            phases[rate.plies].append((at, 100 * rate.share))
    for plies, points in phases.items():
        axes.plot(*zip(*points, strict=True), linewidth=1, label=f"plies {plies}")
    axes.set_ylabel("mistakes, %")
    axes.set_ylim(bottom=0)


def _minutes(evaluation: Mapping[str, Any], minutes_at: Mapping[int, float]) -> float:
    """Returns the training time of an evaluated checkpoint, or of the last point before it."""
    if "elapsed_seconds" in evaluation:
        return float(evaluation["elapsed_seconds"]) / 60
    earlier = [step for step in minutes_at if step <= evaluation["update"]]
    return minutes_at[max(earlier)] if earlier else 0.0
