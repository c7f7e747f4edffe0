"""The command line that benchmarks of trainings share."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.paired_training.cores import usable_cores
from benchmarks.paired_training.plan import CLOCKS, SETS
from selfplay.errors import SelfplayError


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of every benchmark that trains and measures."""
    add = parser.add_argument
    add("--game", action="append", default=[], help='with options: "hex size=5"; repeatable')
    add("--set", action="append", default=[], help="settings of all trainings")
    add("--preset", default="default", help="what these settings change")
    add("--minutes", type=float, default=2.0, help="budget of each training")
    add("--clock", choices=CLOCKS, default="cpu", help="what the budget is counted in")
    add("--first-seed", type=int, default=0)
    add("--simulations", type=int, default=100, help="when strength is measured")
    add("--positions", type=int, default=400, help="solved positions at most; 0 for none")
    add("--positions-of", choices=SETS, default="choose", help="which positions and openings")
    add("--solver-limit", type=int, default=100_000, help="positions looked at for one label")
    add("--cores", help="cores to use, such as 0,1; by default all, one thread of each")
    add("--cold", action="store_true", help="count the time of compilation, too")
    add("--only-report", action="store_true", help="show what is there; run nothing")
    add("--output", help="directory of the results; without it they are only printed")
    add("--json", dest="as_json", action="store_true")


def chosen_cores(arguments: argparse.Namespace) -> list[int | None]:
    """Returns the cores that `--cores` names, else all that this process may use."""
    if arguments.cores is None:
        return usable_cores()
    return [int(core) for core in arguments.cores.split(",")]


def say(text: str) -> None:
    """Tells a person what happens, on standard error."""
    print(text, file=sys.stderr, flush=True)


def publish(
    document: Any, directory: Path, arguments: argparse.Namespace, table: Callable[[Any], str]
) -> None:
    """Writes results.json into the directory; prints it, or a table of it."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1)
    (directory / "results.json").write_text(text + "\n")
    print(text if arguments.as_json else table(document))


def run_main(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Runs a benchmark; shows an error of selfplay without a traceback."""
    try:
        main(parser.parse_args())
    except SelfplayError as error:
        hint = getattr(error, "hint", None)
        raise SystemExit(f"error: {error}\n\nhint: {hint}" if hint else f"error: {error}") from None
