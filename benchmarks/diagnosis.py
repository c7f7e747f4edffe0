"""Measures the diagnosis: short trainings made bad on purpose, each by one cause, and sound ones.

    python benchmarks/diagnosis.py [--seconds S] [--to FOLDER] [NAME ...]

Each run is trained for S seconds (45 by default), compilation not counted, and judged as
`selfplay diagnose` judges it. A bad run is a hit if one of the findings that its cause must show is
a problem; every problem of a sound run is a false alarm. NAME is one of `BAD` or `SOUND`, "all",
or "short" for one of each. Prints tables; FOLDER keeps the runs and a JSON line for each in
results.jsonl.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.planted import planted
from selfplay import startup
from selfplay.diagnosis.diagnose import diagnose
from selfplay.diagnosis.evidence import read_evidence
from selfplay.registry import GameSpec
from selfplay.run import RunDirectory
from selfplay.runtime.components import make_components
from selfplay.settings import Config
from selfplay.settings.presets import PRESETS
from selfplay.telemetry import Progress
from selfplay.training.trainer import Trainer, train

Settings = dict[str, dict[str, Any]]

SHORT: Settings = {
    "trainer": {"checkpoint_seconds": 5.0, "keep_checkpoints": 20},
    "evaluation": {
        "opponents": ["random", "mcts:100"],
        "matches": 16,
        "first_seconds": 2.0,
        "interval_seconds": 2.0,
        "share": 0.2,
    },
}
"""Over the preset quick, for every run: more checkpoints and evaluations in so short a time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A training.

    Attributes:
        game: its name.
        options: of the game.
        fault: planted in the game, see `benchmarks.common.planted`; "" for none.
        settings: over `SHORT`.
        shows: findings of which at least one must be a problem; none for a sound run.
    """

    game: str = "connect_four"
    options: dict[str, Any] = dataclasses.field(default_factory=lambda: {"rows": 4, "columns": 5})
    fault: str = ""
    settings: Settings = dataclasses.field(default_factory=dict)
    shows: tuple[str, ...] = ()

    @property
    def spec(self) -> GameSpec:
        """Returns how to make the game."""
        if not self.fault:
            return GameSpec(self.game, self.options)
        return planted(self.game, self.fault, **self.options)


BAD: dict[str, Case] = {
    "learning rate far too low": Case(
        settings={"learner": {"learning_rate": 1e-7}}, shows=("policy learnt", "value learnt")
    ),
    "learning rate far too high": Case(
        settings={"learner": {"learning_rate": 2.0}}, shows=("policy learnt", "value learnt")
    ),
    "no value loss": Case(settings={"learner": {"value_weight": 0.0}}, shows=("value learnt",)),
    "no policy loss": Case(settings={"learner": {"policy_weight": 0.0}}, shows=("policy learnt",)),
    "policy target smoothed away": Case(
        settings={"learner": {"label_smoothing": 0.9}}, shows=("policy learnt", "policy entropy")
    ),
    "positions used 100 times from a small window": Case(
        settings={
            "replay": {
                "min_window": 600,
                "max_window": 600,
                "holdout_share": 0.3,
            },
            "trainer": {"replay_ratio": 100.0},
            "network": {"channels": 64},
        },
        shows=("overfitting",),
    ),
    "no search": Case(settings={"search": {"num_simulations": 0}}, shows=("search gain",)),
    "always the same openings": Case(
        settings={
            "rollout": {"random_opening_share": 0.0},
            "search": {"sampling_plies": 0, "gumbel_scale": 0.0},
        },
        shows=("opening diversity",),
    ),
    "window that never forgets": Case(
        game="tic_tac_toe",
        options={},
        settings={"replay": {"min_window": 1_000_000, "max_window": 1_000_000}},
        shows=("old targets",),
    ),
    "matches cut after 6 plies": Case(fault="short", shows=("matches cut short",)),
    "no match has a winner": Case(fault="drawn", shows=("draw collapse",)),
    "player 0 always wins": Case(fault="first", shows=("one player wins",)),
    "observation that shows nothing": Case(fault="blind", shows=("policy learnt", "value learnt")),
    "network far too large": Case(
        settings={"network": {"blocks": 20, "channels": 192}}, shows=("network too large",)
    ),
    "network far too small": Case(
        settings={"network": {"kind": "mlp", "blocks": 1, "channels": 1}},
        shows=("network too small", "policy learnt"),
    ),
    "two matches in each evaluation": Case(
        settings={"evaluation": {"matches": 2, "opponents": ["mcts:100"]}},
        shows=("thin evaluation",),
    ),
    "strength not measured": Case(
        settings={"evaluation": {"enabled": False}}, shows=("thin evaluation",)
    ),
}

SOUND: dict[str, Case] = {
    "Connect Four 4x5": Case(),
    "Connect Four 4x5, 5 % kept out": Case(
        settings={"replay": {"holdout_share": 0.05}, "trainer": {"seed": 1}}
    ),
    "Connect Four 6x7": Case(options={}, settings={"search": {"num_simulations": 16}}),
    "tic-tac-toe": Case(game="tic_tac_toe", options={}),
    "Hex 4x4": Case(game="hex", options={"size": 4}),
    "Othello 4x4": Case(game="othello", options={"size": 4}),
    "Breakthrough 5x4": Case(game="breakthrough", options={"rows": 5, "columns": 4}),
}


class _Clock:
    """A reporter that ends the training so long after its first update."""

    def __init__(self, seconds: float) -> None:
        self.trainer: Trainer | None = None
        self._seconds = seconds
        self._began: float | None = None
        self._started = time.monotonic()

    def update(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._began is None and (progress.update or now - self._started > self._seconds):
            self._began = now
        if self._began is not None and now - self._began > self._seconds:
            assert self.trainer is not None
            self.trainer.stop()

    def message(self, text: str) -> None:
        print(f"  {text}", file=sys.stderr)

    def close(self) -> None:
        pass


def measure(name: str, case: Case, seconds: float, folder: Path) -> dict[str, Any]:
    """Trains one run and judges it.

    Args:
        name: of the case.
        case: what to train.
        seconds: how long, from the first update on.
        folder: of the runs.
    """
    game = case.spec.make()
    config = Config.from_dict(PRESETS["quick"]).updated(SHORT).updated(case.settings)
    path = folder / name.replace(" ", "-").replace("%", "percent").replace(",", "")
    run = RunDirectory.create(path, case.spec, game, config)
    clock = _Clock(seconds)

    def ready(trainer: Trainer) -> None:
        clock.trainer = trainer

    trainer = train(run, make_components(game, config), clock, on_ready=ready)
    found = diagnose(read_evidence(RunDirectory.open(path)))
    problems = [finding.name for finding, _ in found.named("problem")]
    return {
        "name": name,
        "sound": not case.shows,
        "hit": bool(set(problems) & set(case.shows)) if case.shows else not problems,
        "problems": problems,
        "updates": trainer.update,
        "matches": trainer.cursor.matches,
        **found.to_dict(),
    }


def main(names: list[str], seconds: float, to: Path | None) -> None:
    """Trains, judges and prints."""
    startup.prepare()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = to or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            row = measure(name, (BAD | SOUND)[name], seconds, folder)
            rows.append(row)
            verdict = "as it must" if row["hit"] else "NOT as it must"
            print(f"{name}: {verdict}; {row['problems']}", file=sys.stderr, flush=True)
            if to is not None:
                with (to / "results.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    print(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    """Returns hits and false alarms as tables in Markdown."""
    parts = []
    for sound, title in ((False, "bad run"), (True, "sound run")):
        chosen = [row for row in rows if row["sound"] is sound]
        if not chosen:
            continue
        verdict = "false alarms" if sound else "found"
        lines = [
            f"| {title} | {verdict} | problems named | learns | updates | matches |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for row in chosen:
            said = str(len(row["problems"])) if sound else "yes" if row["hit"] else "no"
            learns = {True: "yes", False: "no", None: "too early to tell"}[row["learns"]]
            lines.append(
                f"| {row['name']} | {said} | {', '.join(row['problems']) or 'none'} | {learns} | "
                f"{row['updates']:,} | {row['matches']:,} |"
            )
        count = sum(row["hit"] for row in chosen)
        summary = "without a false alarm" if sound else "found by their cause"
        parts.append("\n".join([*lines, "", f"{count} of {len(chosen)} {summary}"]))
    return "\n\n".join(parts)


def _chosen(names: list[str]) -> list[str]:
    if names == ["all"]:
        return [*BAD, *SOUND]
    if names == ["short"]:
        return ["no search", "tic-tac-toe"]
    return names


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", default=["short"])
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--to", type=Path)
    arguments = parser.parse_args()
    main(_chosen(arguments.names), arguments.seconds, arguments.to)
