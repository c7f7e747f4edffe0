"""What a comparison has shown so far: one JSON document, and tables for people."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paired_training.arm import MEASURED, TRAINED
from benchmarks.paired_training.differences import Estimate, estimate
from benchmarks.paired_training.plan import ARMS, Cell, Plan
from selfplay.arena import elo_from_score
from selfplay.errors import ConfigError

_RATES = ("positions_per_second", "updates_per_second")
_PAIR = 0.25
"""The least by which the mean score of two matches changes."""

_CLOCKS = {"cpu": "by the time that a core worked for it", "wall": "by the clock"}


def report(plan: Plan, directory: Path) -> dict[str, Any]:
    """Returns the results of all cells that are done, by game and over their seeds."""
    return {
        "a": list(plan.a),
        "b": list(plan.b),
        "both": list(plan.both),
        "preset": plan.preset,
        "minutes": plan.minutes,
        "clock": plan.clock,
        "positions_of": plan.positions_of,
        "games": [_game(plan, directory, game) for game in dict.fromkeys(plan.games)],
    }


def _game(plan: Plan, directory: Path, game: str) -> dict[str, Any]:
    seeds, trainings, strengths = [], [], []
    for seed in plan.seeds:
        folder = Cell(game, seed).folder(directory)
        files = [folder / TRAINED.format(arm=arm) for arm in ARMS]
        strength = folder / MEASURED.format(set=plan.positions_of)
        if strength.exists():
            seeds.append(seed)
            trainings.append([json.loads(file.read_text()) for file in files])
            strengths.append(json.loads(strength.read_text()))
    document: dict[str, Any] = {
        "game": game,
        "seeds": seeds,
        "missing_seeds": [seed for seed in plan.seeds if seed not in seeds],
        "trainings": [
            {"seed": seed, **{arm: one[i] for i, arm in enumerate(ARMS)}}
            for seed, one in zip(seeds, trainings, strict=True)
        ],
        "measures": [],
    }
    if seeds:
        document["measures"] = [*_mistakes(strengths), *_scores(strengths)]
        document["speed"] = {name: _ratio(trainings, name) for name in _RATES}
    return document


def _mistakes(strengths: Sequence[Any]) -> list[dict[str, Any]]:
    """Returns the shares of mistakes; below 0, arm B makes fewer."""
    sets = {str(one["mistakes"] and one["mistakes"]["position_set"]) for one in strengths}
    if sets == {"None"}:
        return []
    if len(sets) > 1:
        raise ConfigError(
            f"the seeds were measured on different positions: {', '.join(sorted(sets))}",
            hint="remove the files strength-*.json of this game, and call again",
        )
    found = []
    by_ply = np.array(strengths[0]["mistakes"]["plies"])
    thirds = np.array_split(np.argsort(by_ply, kind="stable"), 3)
    searched = f"mistakes at {strengths[0]['simulations']} simulations"
    for kind, name in (("search", searched), ("raw", "mistakes of the raw network")):
        if any(one["mistakes"][arm][kind] is None for one in strengths for arm in ARMS):
            continue
        a, b = (np.array([one["mistakes"][arm][kind] for one in strengths], float) for arm in ARMS)
        random = float(np.mean(strengths[0]["mistakes"]["random"]))
        phases = [
            {
                "plies": [int(by_ply[rows].min()), int(by_ply[rows].max())],
                **_both(a[:, rows], b[:, rows], better="less", step=1.0),
            }
            for rows in thirds
            if len(rows)
        ]
        measures = _both(a, b, better="less", step=1.0)
        found.append(
            {"name": name, "better": "less", "random": random, **measures, "phases": phases}
        )
    return found


def _scores(strengths: Sequence[Any]) -> list[dict[str, Any]]:
    """Returns the scores in matches."""
    found: list[dict[str, Any]] = []
    for opponent in strengths[0]["scores"]:
        if all(opponent in one["scores"] for one in strengths):
            a, b = (np.array([one["scores"][opponent][arm] for one in strengths]) for arm in ARMS)
            measures = _both(a, b, better="more", step=_PAIR)
            found.append({"name": f"score against {opponent}", "better": "more", **measures})
    if all("versus" in one for one in strengths):
        score = np.array([one["versus"] for one in strengths])
        difference = estimate(2 * score - 1, step=2 * _PAIR)
        found.append(
            {
                "name": "score against the other arm",
                "better": "more",
                "a": estimate(1 - score, step=_PAIR).to_dict(),
                "b": estimate(score, step=_PAIR).to_dict(),
                "difference": difference.to_dict(),
                "verdict": _verdict(difference, "more"),
                "by_seed": [[1 - float(mean), float(mean)] for mean in score.mean(axis=1)],
                "elo": [
                    _elo(min(max((1 + one) / 2, 0.0), 1.0))
                    for one in (difference.mean, difference.low, difference.high)
                ],
            }
        )
    return found


def _both(a: Any, b: Any, *, better: str, step: float) -> dict[str, Any]:
    difference = estimate(b - a, step=step)
    means = zip(a.mean(axis=1).tolist(), b.mean(axis=1).tolist(), strict=True)
    return {
        "a": estimate(a, step=step).to_dict(),
        "b": estimate(b, step=step).to_dict(),
        "difference": difference.to_dict(),
        "verdict": _verdict(difference, better),
        "by_seed": [list(pair) for pair in means],
    }


def _verdict(difference: Estimate, better: str) -> str:
    sign = difference.verdict * (-1 if better == "less" else 1)
    return {1: "B is better", -1: "B is worse", 0: "not clear"}[sign]


def _ratio(trainings: Sequence[Any], name: str) -> float | None:
    """Returns how many times as fast arm B is, the geometric mean over seeds; None of nothing."""
    rates = np.array([[arm[name] for arm in one] for one in trainings])
    if (rates <= 0).any():
        return None
    return float(np.exp(np.mean(np.log(rates[:, 1]) - np.log(rates[:, 0]))))


def _elo(score: float) -> float | None:
    """Returns the difference in Elo, None if infinite: JSON has no infinity."""
    elo = elo_from_score(score)
    return elo if np.isfinite(elo) else None


def table(document: dict[str, Any]) -> str:
    """Returns the document as tables in Markdown."""
    both = " ".join([f"preset {document['preset']}", *document["both"]])
    lines = [
        f"A: {' '.join(document['a']) or 'nothing else'}",
        f"B: {' '.join(document['b']) or 'nothing else'}",
        f"both: {both}",
        f"budget: {document['minutes']:g} minutes a training, {_CLOCKS[document['clock']]}; "
        f"positions and openings to {document['positions_of']}",
        "",
        "| game | measure | A | B | B - A | 95 % interval | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for game in document["games"]:
        lines += [_measure_row(game["game"], one) for one in game["measures"]]
        lines += [f"| {game['game']} | nothing yet | | | | | |"] * (not game["seeds"])
    lines += [
        "",
        "| game | seed | arm | positions | matches | updates | positions/s | updates/s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for game in document["games"]:
        for one in game["trainings"]:
            lines += [_training_row(game["game"], one["seed"], arm, one[arm]) for arm in ARMS]
    notes = [note for game in document["games"] for note in _notes(game)]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _measure_row(game: str, one: dict[str, Any]) -> str:
    difference = one["difference"]
    low, high = 100 * difference["low"], 100 * difference["high"]
    random = f", random moves {100 * one['random']:.1f} %" if "random" in one else ""
    count = f" ({difference['seeds']} x {difference['items']}{random})"
    cells = [
        game,
        one["name"] + count,
        f"{100 * one['a']['mean']:.1f} %",
        f"{100 * one['b']['mean']:.1f} %",
        f"{100 * difference['mean']:+.1f}",
        f"{low:+.1f} to {high:+.1f}",
        one["verdict"],
    ]
    return f"| {' | '.join(cells)} |"


def _training_row(game: str, seed: int, arm: str, one: dict[str, Any]) -> str:
    counts = f"{one['positions']:,} | {one['matches']:,} | {one['update']:,}"
    rates = f"{one['positions_per_second']:.0f} | {one['updates_per_second']:.2f}"
    return f"| {game} | {seed} | {arm.upper()} | {counts} | {rates} |"


def _notes(game: dict[str, Any]) -> list[str]:
    notes = []
    if any(one[arm]["update"] == 0 for one in game["trainings"] for arm in ARMS):
        notes.append(f"{game['game']}: a training made no update: give it more --minutes")
    if len(game["seeds"]) == 1:
        notes.append(
            f"{game['game']}: one seed; the intervals say nothing of trainings with other seeds"
        )
    if game["missing_seeds"]:
        missing = ", ".join(map(str, game["missing_seeds"]))
        notes.append(f"{game['game']}: not done yet: seeds {missing}")
    return notes
