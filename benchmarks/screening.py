"""Measures many switches at once: which methods make a stronger agent of the same budget?

    python benchmarks/screening.py --game "connect_four rows=5 columns=6" --game "hex size=4" \
        --game "kalah pits=4 seeds=3" --trainings 16 --minutes 2.5 --output screening \
        --switch "average: replay.average_positions=16" \
        --switch "muon: learner.optimizer=muon"

Each training has its own half of the switches on, in such a way that every switch is on in half of
the trainings of a game, whatever the others are. So 16 trainings a game tell of up to 15 switches
as surely as 8 trainings with and 8 without each of them. Mistakes are counted in solved positions,
with search and with the raw network, as in `benchmarks/methods.py`; so the games must have a solver
or be small enough for brute force. Trainings run one on each core, by the time that the core worked
for them.

The table says for each switch by what factor it changes mistakes, positions and updates a second.
An effect that only two switches have together is not seen; confirm what is found here by
`benchmarks/methods.py`. An interrupted screening goes on with the same command. Without arguments a
short one runs: four trainings of tic-tac-toe of a few seconds each.
"""

import argparse
import json
import queue
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.paired_training.arm import MEASURED, TRAINED
from benchmarks.paired_training.factorial import design, effects
from benchmarks.paired_training.options import (
    add_training_options,
    chosen_cores,
    publish,
    run_main,
    say,
)
from benchmarks.paired_training.plan import ARMS, Plan, file_name
from benchmarks.paired_training.runner import Runner
from selfplay.errors import ConfigError
from selfplay.settings import merged, read_sources

_SHORT = ("simulations: search.num_simulations=16", "muon: learner.optimizer=muon")
_COUNTS = {
    "mistakes": "mistakes with search",
    "raw_mistakes": "mistakes of the raw network",
}
_MEASURES = {
    **_COUNTS,
    "positions_per_second": "positions/s",
    "updates_per_second": "updates/s",
    "start_seconds": "seconds to compile and make 30 updates",
}


def plans(arguments: argparse.Namespace) -> dict[str, list[Plan]]:
    """Returns for each game its trainings, two in each plan.

    Raises:
        ConfigError: a switch or a number of trainings that does not work.
    """
    found = {}
    for number, game in enumerate(dict.fromkeys(arguments.game)):
        rows = [
            tuple(
                setting
                for (_, settings), switched in zip(arguments.switches, row, strict=True)
                for setting in settings
                if switched
            )
            for row in design(len(arguments.switches), arguments.trainings, seed=number)
        ]
        for row in rows:
            settings = [*arguments.set, *row]
            merged(read_sources(preset=arguments.preset, environ={}, overrides=settings))
        found[game] = [
            Plan(
                games=(game,),
                seeds=(arguments.first_seed + pair,),
                a=rows[2 * pair],
                b=rows[2 * pair + 1],
                both=tuple(arguments.set),
                preset=arguments.preset,
                minutes=arguments.minutes,
                clock=arguments.clock,
                simulations=arguments.simulations,
                positions=arguments.positions,
                positions_of=arguments.positions_of,
                solver_limit=arguments.solver_limit,
            )
            for pair in range(len(rows) // 2)
        ]
    return found


def folder(directory: Path, game: str, pair: int) -> Path:
    """Returns where the results of two trainings lie."""
    return directory / file_name(game) / f"pair-{pair}"


def run(found: dict[str, list[Plan]], directory: Path, arguments: argparse.Namespace) -> None:
    """Trains and measures what is not there yet; one training on each core."""
    free: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    cores = chosen_cores(arguments)
    for core in cores:
        free.put(core)

    def on_a_core(what: Callable[[Runner], None], game: str, number: int) -> None:
        core = free.get()
        try:
            plan, place = found[game][number], folder(directory, game, number)
            plan.store(place)
            what(Runner(plan, place, cores=[core], warm_up=not arguments.cold, say=say))
        finally:
            free.put(core)

    with ThreadPoolExecutor(len(cores)) as pool:
        # Labels first, once a game, then a pair of each game: an interrupted screening tells a
        # little of all.
        for what, numbers in ((Runner.label, [0]), (Runner.run, range(arguments.trainings // 2))):
            jobs = [
                pool.submit(on_a_core, what, game, number) for number in numbers for game in found
            ]
            try:
                for job in jobs:
                    job.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def report(
    found: dict[str, list[Plan]], directory: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Returns the effects of all switches as far as trainings are done."""
    on = {
        game: design(len(arguments.switches), arguments.trainings, seed=number)
        for number, game in enumerate(found)
    }
    results: dict[str, dict[str, list[float]]] = {
        name: {game: [] for game in found} for name in (*_MEASURES, "positions")
    }
    for game, of_game in found.items():
        for number, plan in enumerate(of_game):
            place = next(plan.cells).folder(folder(directory, game, number))
            strength = place / MEASURED.format(set=plan.positions_of)
            measured = json.loads(strength.read_text()) if strength.exists() else None
            for arm in ARMS:
                one = _of_arm(measured, place, arm, game)
                for name in results:
                    results[name][game].append(one.get(name, float("nan")))
    arrays = {
        name: {game: np.array(values, float) for game, values in by_game.items()}
        for name, by_game in results.items()
    }
    names = [name for name, _ in arguments.switches]
    return {
        "games": list(found),
        "trainings": {
            game: int((~np.isnan(values)).sum()) for game, values in arrays["mistakes"].items()
        },
        "minutes": arguments.minutes,
        "clock": arguments.clock,
        "preset": arguments.preset,
        "set": arguments.set,
        "simulations": arguments.simulations,
        "positions_of": arguments.positions_of,
        "median": {
            name: {game: _median(values) for game, values in by_game.items()}
            for name, by_game in arrays.items()
        },
        "switches": {name: {"settings": list(settings)} for name, settings in arguments.switches},
        "effects": {
            measure: {
                name: effect.to_dict()
                for name, effect in zip(
                    names,
                    effects(on, arrays[measure], counts=measure in _COUNTS),
                    strict=False,
                )
            }
            for measure in _MEASURES
        },
    }


def _of_arm(measured: Any, place: Path, arm: str, game: str) -> dict[str, float]:
    if measured is None:
        return {}
    if measured["mistakes"] is None:
        raise ConfigError(
            f"{game} has no solved positions to count mistakes in",
            hint="name games with a solver, or smaller ones; others are compared by "
            "benchmarks/methods.py",
        )
    training = json.loads((place / TRAINED.format(arm=arm)).read_text())
    return {
        "mistakes": sum(measured["mistakes"][arm]["search"]),
        "raw_mistakes": sum(measured["mistakes"][arm]["raw"]),
        "positions": len(measured["mistakes"][arm]["search"]),
        "positions_per_second": training["positions_per_second"],
        "updates_per_second": training["updates_per_second"],
        "start_seconds": _start_seconds(place, arm),
    }


def _start_seconds(place: Path, arm: str) -> float:
    """Returns what the core worked for the process that compiled; NaN if there was none."""
    file = place.parents[1] / "warm" / f"{place.parent.name}-{arm}.json"
    return float(json.loads(file.read_text())["cpu_seconds"]) if file.exists() else float("nan")


def _median(values: Any) -> float | None:
    done = values[~np.isnan(values)]
    return float(np.median(done)) if len(done) else None


def table(document: dict[str, Any]) -> str:
    """Returns the effects as a table in Markdown, the best switch first."""
    games = document["games"]
    counts = ", ".join(f"{game}: {count}" for game, count in document["trainings"].items())
    of_raw = document["effects"]["raw_mistakes"]
    lines = [
        f"trainings of {document['minutes']:g} minutes: {counts}; positions to "
        f"{document['positions_of']}; each number is what a switch multiplies",
        "",
        f"| switch | {' | '.join(_MEASURES.values())} | raw network in {' | '.join(games)} |",
        f"| --- |{' --- |' * (len(_MEASURES) + len(games))}",
    ]
    for name in sorted(of_raw, key=lambda name: of_raw[name]["ratio"]):
        cells = [_cell(document["effects"][measure][name]) for measure in _MEASURES]
        cells += [_ratio(of_raw[name]["by_game"][game]) for game in games]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    median = document["median"]
    medians = [
        f"{game}: {median['mistakes'][game]:g} of {median['positions'][game]:g} "
        f"(raw network {median['raw_mistakes'][game]:g})"
        for game in games
        if median["mistakes"][game] is not None
    ]
    return "\n".join([*lines, "", f"median number of mistakes: {', '.join(medians)}"])


def _ratio(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"


def _cell(effect: dict[str, Any]) -> str:
    if effect["high"] is None:
        return f"{effect['ratio']:.2f}"
    return f"{effect['ratio']:.2f} ({effect['low']:.2f} to {effect['high']:.2f})"


def named_switch(text: str) -> tuple[str, tuple[str, ...]]:
    """Returns name and settings of "NAME: SECTION.KEY=VALUE ..."; the name may be left out."""
    name, colon, settings = text.partition(":")
    if not colon or "=" in name:
        name, settings = text, text
    return name.strip(), tuple(settings.split())


def main(arguments: argparse.Namespace) -> None:
    """Runs what is missing, writes results.json and prints the table."""
    if not arguments.game:
        arguments.game, arguments.switch = ["tic_tac_toe"], list(_SHORT)
        arguments.preset, arguments.minutes, arguments.trainings = "quick", 0.1, 4
    arguments.set = " ".join(arguments.set).split()
    arguments.switches = [named_switch(text) for text in arguments.switch]
    found = plans(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(arguments.output or temporary)
        if not arguments.only_report:
            run(found, directory, arguments)
        publish(report(found, directory, arguments), directory, arguments, table)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    found = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_training_options(found)
    add = found.add_argument
    add("--switch", action="append", default=[], help='"NAME: SECTION.KEY=VALUE ..."; repeatable')
    add("--trainings", type=int, default=16, help="of each game; a power of two")
    return found


if __name__ == "__main__":
    run_main(main, parser())
