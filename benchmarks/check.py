"""Measures the check of games: seconds per game, planted mistakes found, false alarms.

    python benchmarks/check.py [--matches N] [--planted N] [GAME ...]

Each game named is checked as `selfplay check` does, with and without compiled programs in the
cache, and then with so many random matches for false alarms; every game of the corpus in
tests/check/planted is checked once. "all" stands for every bundled game. Without arguments it is
tic_tac_toe, 100 matches and 10 games of the corpus. Prints one JSON object.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from selfplay.check.conformance import examine
from selfplay.registry import game_names, make

CORPUS = Path(__file__).parents[1] / "tests" / "check" / "planted" / "games.py"
SHORT = ("tic_tac_toe", "--planted", "10")
"""The arguments where none are given."""


def main(names: list[str], matches: int, planted_games: int) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
        games = {name: _game(name, matches) for name in names}
        planted = _planted(planted_games)
    alarms = {name: found["false_alarms"] for name, found in games.items() if found["false_alarms"]}
    print(
        json.dumps(
            {
                "games": games,
                "false_alarms": alarms,
                "planted": len(planted),
                "found": sum(one["found"] for one in planted.values()),
                "missed": [name for name, one in planted.items() if not one["found"]],
                "seconds_per_planted": {
                    "median": statistics.median(one["seconds"] for one in planted.values()),
                    "worst": max(one["seconds"] for one in planted.values()),
                },
            },
            indent=1,
        )
    )


def _game(name: str, matches: int) -> dict[str, object]:
    game = make(name)
    seconds = []
    for _ in range(2):
        begin, cpu = time.perf_counter(), time.process_time()
        examine(game)
        seconds.append((time.perf_counter() - begin, time.process_time() - cpu))
        jax.clear_caches()
    report = examine(game, matches=matches, seed=1, measures=False)
    print(f"{name}: {seconds[0][0]:.1f} s", file=sys.stderr)
    return {
        "cold_seconds": round(seconds[0][0], 1),
        "cold_cpu_seconds": round(seconds[0][1], 1),
        "warm_seconds": round(seconds[1][0], 1),
        "matches": matches,
        "false_alarms": [fault.rule for fault in report.faults],
    }


def _planted(count: int) -> dict[str, dict[str, Any]]:
    """Checks so many games of the corpus, spread over it; 0 for all."""
    corpus = _corpus().BROKEN
    found = {}
    for one in corpus[:: max(1, len(corpus) // count) if count else 1][: count or None]:
        begin = time.perf_counter()
        report = examine(one.game(**one.options), matches=16, measures=one.measures)
        rules = [fault.rule for fault in report.faults]
        shortest = one.moves is None or [len(fault.moves) for fault in report.faults] == [one.moves]
        found[one.game.__name__] = {
            "rule": one.rule,
            "found": rules == [one.rule] and shortest,
            "seconds": round(time.perf_counter() - begin, 2),
        }
    return found


def _corpus() -> ModuleType:
    specification = importlib.util.spec_from_file_location("broken_games", CORPUS)
    if specification is None or specification.loader is None:
        raise SystemExit(f"{CORPUS} is missing")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("games", nargs="*", metavar="GAME", default=["tic_tac_toe"])
    parser.add_argument("--matches", type=int, default=100)
    parser.add_argument("--planted", type=int, default=0, help="games of the corpus; 0 for all")
    arguments = parser.parse_args(sys.argv[1:] or SHORT)
    names = list(game_names()) if arguments.games == ["all"] else arguments.games
    main(names, arguments.matches, arguments.planted)
