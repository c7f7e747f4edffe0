"""Plots of ratings: over the course of training, and over the number of simulations."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.telemetry.figures import new_figure

Agent = Mapping[str, Any]


def plot_ladder(agents: Sequence[Agent], output: Path, *, title: str, anchor: str) -> None:
    """Draws the ratings of checkpoints over their updates, and fixed opponents as lines across.

    A checkpoint that won every match is drawn as an arrow from the end of its interval that the
    matches do tell, likewise one that lost every match: its rating is a guess.

    Args:
        agents: each with "agent", "run", "update" (None if it is no checkpoint), "simulations",
            "elo", its 95 % "interval" and "unbounded": "above", "below" or "".
        output: the file to write; its suffix chooses the format.
        title: what was rated.
        anchor: the agent whose rating is 0.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (axes,) = new_figure("drawing ratings", heights=(5,))
    curves: dict[str, list[Agent]] = defaultdict(list)
    for agent in agents:
        if agent["update"] is not None:
            curves[f"{agent['run']}, {_simulations(agent['simulations'])}"].append(agent)
    for label, of_run in sorted(curves.items()):
        of_run.sort(key=lambda agent: agent["update"])
        _draw(axes, [agent["update"] for agent in of_run], of_run, label)
    for number, agent in enumerate(one for one in agents if one["update"] is None):
        low, high = agent["interval"]
        color = f"C{(len(curves) + number) % 10}"
        axes.axhline(agent["elo"], linestyle="--", linewidth=1, color=color, label=agent["agent"])
        axes.axhspan(low, high, color=color, alpha=0.1, linewidth=0)
    axes.set_xlabel("updates")
    axes.set_ylabel(f"Elo above {anchor} (95 % intervals)")
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="best")
    figure.savefig(output)


def plot_simulations(rows: Sequence[Agent], output: Path, *, title: str, opponent: str) -> None:
    """Draws the ratings of one agent over the number of its simulations.

    Args:
        rows: each with "simulations", "elo", its 95 % "interval" and "unbounded".
        output: the file to write; its suffix chooses the format.
        title: what was rated.
        opponent: the agent whose rating is 0.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (axes,) = new_figure("drawing ratings", heights=(4,))
    x = [max(1, row["simulations"]) for row in rows]
    _draw(axes, x, rows, "95 % interval")
    axes.axhline(0, linestyle="--", linewidth=1, color="gray", label=opponent)
    axes.set_xscale("log", base=2)
    axes.set_xticks(x, [str(row["simulations"]) for row in rows])
    axes.set_xlabel("simulations a move")
    axes.set_ylabel(f"Elo above {opponent}")
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="best")
    figure.savefig(output)


def plot_variants(rows: Sequence[Agent], output: Path, *, title: str, opponent: str) -> None:
    """Draws the ratings of one agent with different settings, the strongest above.

    Args:
        rows: each with "settings", "elo" and its 95 % "interval".
        output: the file to write; its suffix chooses the format.
        title: what was rated.
        opponent: the agent whose rating is 0.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (axes,) = new_figure("drawing ratings", heights=(max(2.0, 0.4 * len(rows)),))
    ordered = sorted(rows, key=lambda row: row["elo"])
    elo = [row["elo"] for row in ordered]
    errors = [[row["elo"] - row["interval"][0] for row in ordered]]
    errors.append([row["interval"][1] - row["elo"] for row in ordered])
    axes.errorbar(elo, range(len(rows)), xerr=errors, fmt="o", capsize=3, markersize=4)
    axes.set_yticks(range(len(rows)), [row["settings"] for row in ordered])
    axes.set_xlabel(f"Elo above {opponent} (95 % intervals)")
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    figure.savefig(output)


def _simulations(count: int) -> str:
    return f"{count} simulations" if count else "no search"


def _draw(axes: Any, x: Sequence[float], agents: Sequence[Agent], label: str) -> None:
    bounded = [(at, one) for at, one in zip(x, agents, strict=True) if not one["unbounded"]]
    places = [at for at, _ in bounded]
    (line,) = axes.plot(
        places, [one["elo"] for _, one in bounded], marker="o", markersize=3, label=label
    )
    color = line.get_color()
    axes.fill_between(
        places,
        [one["interval"][0] for _, one in bounded],
        [one["interval"][1] for _, one in bounded],
        color=color,
        alpha=0.2,
        linewidth=0,
    )
    for side, end, marker, meaning in (
        ("above", 0, "^", "at least: won every match"),
        ("below", 1, "v", "at most: lost every match"),
    ):
        points = [
            (at, one["interval"][end])
            for at, one in zip(x, agents, strict=True)
            if one["unbounded"] == side
        ]
        if points:
            axes.plot(*zip(*points, strict=True), marker, color=color, alpha=0.6, label=meaning)
