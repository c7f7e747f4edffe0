"""Checks every game of `plain.py` and prints what was found, as JSON.

A process of its own, because the type checks of the tests make calls of Python ten times slower.
"""

import json
import random
import sys
from collections.abc import Iterator
from typing import Any

import noughts
import plain

from selfplay.check import conformance
from selfplay.check.plain import random_play, report, sides, time_limit


def cases() -> Iterator[tuple[str, type[Any], float]]:
    """Yields a name, the game, and after how many seconds a call does not return."""
    yield "sound", plain.Take, 10.0
    for game in (noughts.Kept, noughts.Mask, noughts.Long):
        yield game.__name__, game, 10.0
    yield "Endless", noughts.Endless, 10.0
    yield "Cycle", noughts.Cycle, 10.0
    for size in ("num_actions", "max_plies"):
        yield f"size/{size}", type("Odd", (plain.Take,), {size: "many"}), 10.0
    for number, (method, change) in enumerate(plain.RIGHT):
        yield f"right/{method}/{number}", plain.where(method, change), 10.0
    for number, (method, answer, _) in enumerate(plain.WRONG):
        yield f"wrong/{method}/{number}", plain.where(method, plain.constant(answer)), 10.0
    for kind, methods in plain.KINDS.items():
        for method in methods:
            seconds = 0.2 if kind == "hang" else 10.0
            yield f"{kind}/{method}", plain.where(method, getattr(plain, kind)), seconds


def found(game: type[Any], seconds: float) -> list[dict[str, Any]]:
    """Returns the broken rules."""
    random.seed(0)  # of the games that ask for it, as none should
    told = report.plain_report(
        game(), [(0, 0), (0, 1)], seed=0, say=lambda text: None, cpu_seconds=seconds
    )
    return [fault.to_dict() for fault in told.faults]


def read() -> dict[str, list[Any]]:
    """Returns what thousands of random matches show."""
    told: dict[str, list[Any]] = {}
    for game in noughts.READ:
        found = report.plain_report(
            game(), [(0, 0), (0, 1), (0, 2), (0, 3)], seed=0, say=lambda text: None
        )
        name = game.__name__
        told[name] = [fault.to_dict() for fault in found.faults]
        told[f"warnings/{name}"] = [fault.to_dict() for fault in found.warnings]
        told[f"exchange/{name}"] = [{"text": found.measures.get("exchange", "")}]
    return told


def main() -> None:
    """Prints the broken rules by the name of the game."""
    # A quarter of the matches shows as much of so small a game.
    report._READ_MATCHES = 1024
    told = read()
    # Only the mistake counts in the rest, and not what many matches say of the results.
    report._READ_MATCHES = report._FEWEST_READ = 16
    sides._IMAGES = 16
    random_play._BREADTH_FIRST_MOVES = 48
    time_limit._LOOK_SECONDS = 0.05
    hidden = conformance.examine(noughts.HiddenCards(), matches=8, measures=False)
    told["HiddenCards"] = [fault.to_dict() for fault in (*hidden.faults, *hidden.warnings)]
    told |= {name: found(game, seconds) for name, game, seconds in cases()}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
