"""Measures the learning canary: sound games judged learnt, planted mistakes caught and named.

    python benchmarks/canary.py [--random] [--faults sound,sign,side,blind] [--updates N]
        [--to FOLDER] [GAME ...]

Each game is trained as `selfplay check GAME --learn` trains it, first as it is, then with each of
three mistakes: `sign`, results for whoever is to move instead of for player 0 and player 1; `side`,
the observation of player 0 shown to both; `blind`, an observation that is always the same. With
`--random` nothing is trained: what random matches alone make suspect, in seconds. Prints a table;
FOLDER keeps the runs, and a JSON line for each in results.jsonl. GAME is a name of `GAMES`, or
"all"; without one it is tic_tac_toe. Without arguments it is tic_tac_toe, sound and with the wrong
sign.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.planted import planted
from selfplay import startup
from selfplay.check.learning.evidence import gather
from selfplay.check.learning.suspicions import suspicions
from selfplay.check.learning.trial import run_trial
from selfplay.registry import GameSpec

GAMES: dict[str, dict[str, Any]] = {
    "tic_tac_toe": {"game": "tic_tac_toe"},
    "breakthrough": {"game": "breakthrough", "rows": 6, "columns": 6},
    "gomoku": {"game": "gomoku", "size": 7},
    "dots_and_boxes": {"game": "dots_and_boxes"},
    "connect_four": {"game": "connect_four"},
    "hex": {"game": "hex", "size": 5},
    "kalah": {"game": "kalah"},
    "othello": {"game": "othello", "size": 6},
    "nine_mens_morris": {"game": "nine_mens_morris"},
    "flagz": {"game": "flagz", "rows": 7, "columns": 6},
    "einstein_wuerfelt_nicht": {"game": "einstein_wuerfelt_nicht"},
    "backgammon": {"game": "backgammon"},
}
"""What is trained by each name."""
FAULTS = ("sound", "sign", "side", "blind")
SHORT = ("tic_tac_toe", "--faults", "sound,sign")
"""The arguments where none are given."""
_NAMES = {"sign": "value sign", "side": "observation side", "blind": "observation"}


def main(names: list[str], faults: list[str], updates: int, random: bool, to: Path | None) -> None:
    """Trains, judges and prints."""
    startup.prepare()
    rows = []
    for name in names:
        for fault in faults:
            begin, cpu = time.perf_counter(), time.process_time()
            spec = planted(fault=fault, **GAMES[name])
            if random:
                found = _random(spec)
            else:
                directory = to / f"{name}-{fault}" if to else None
                found = run_trial(spec, updates=updates, directory=directory).to_dict()
            row = {
                "game": name,
                "fault": fault,
                "seconds": round(time.perf_counter() - begin),
                "cpu_seconds": round(time.process_time() - cpu),
                "named": any(
                    text.startswith(f"{_NAMES.get(fault)}:") for text in found["suspects"]
                ),
                **found,
            }
            rows.append(row)
            print(f"{name} {fault}: {row['verdict']} {row['suspects']}", file=sys.stderr)
            if to is not None:
                with (to / "results.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    print(table(rows))


def _random(spec: GameSpec) -> dict[str, Any]:
    """Returns what is suspect after random matches alone."""
    game = spec.make()
    evidence = gather(game, [])
    found = suspicions(evidence)
    return {
        "verdict": "suspect" if found else "nothing suspect",
        "suspects": found,
        "learned": not found,
        "evidence": dataclasses.asdict(evidence),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Returns what was found as a table in Markdown."""
    lines = ["| game | mistake | verdict | suspects | seconds |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        names = "; ".join(text.partition(":")[0] for text in row["suspects"]) or "none"
        lines.append(
            f"| {row['game']} | {row['fault']} | {row['verdict']} | {names} | {row['seconds']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("games", nargs="*", metavar="GAME", default=["tic_tac_toe"])
    parser.add_argument("--updates", type=int, default=0, help="0 for half a minute of them")
    parser.add_argument("--random", action="store_true", help="train nothing")
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--to", type=Path)
    arguments = parser.parse_args(sys.argv[1:] or SHORT)
    main(
        list(GAMES) if arguments.games == ["all"] else arguments.games,
        arguments.faults.split(","),
        arguments.updates,
        arguments.random,
        arguments.to,
    )
