"""Compares two settings by paired trainings: which one makes a stronger agent of the same budget?

    python benchmarks/methods.py --game "connect_four rows=5 columns=6" --game "hex size=5" \
        --a "learner.next_policy_weight=0" --b "learner.next_policy_weight=0.15" \
        --seeds 3 --minutes 10 --output comparisons/next-policy

Both arms of a pair train at the same time with the same seed, a core each, in turn the first or
the second. `--clock cpu` counts the time that the core worked for the process, which is fair on a
busy machine; the learning-rate schedule follows it, too. With an accelerator take `--clock wall`
and a quiet machine. Then both are measured in the same
positions and matches:

* mistakes in solved positions of all phases, with search and with the raw network, in games that
  have a solver (or are small enough for brute force);
* scores against fixed opponents (`--opponent mcts:200`) and of the arms against each other
  (`--versus`) from the same paired openings; always in games that cannot be solved.

The table says by how much B differs from A, with a 95 % interval over seeds and positions (or
openings). There are two sets of positions and openings: choose settings by `--positions-of choose`
and report by `--positions-of report`. An interrupted comparison goes on with the same command;
more `--seeds` and games add to it. `--baseline DIR` takes the trainings of arm A from another
comparison with the same settings of A, so that several switches share one arm A. Without arguments
a short one runs: two trainings of tic-tac-toe of half a minute each.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.paired_training.options import (
    add_training_options,
    chosen_cores,
    publish,
    run_main,
    say,
)
from benchmarks.paired_training.plan import Plan
from benchmarks.paired_training.report import report, table
from benchmarks.paired_training.runner import Runner


def main(arguments: argparse.Namespace) -> None:
    """Runs what is missing, writes results.json and prints the tables."""
    short = not arguments.game
    plan = Plan(
        games=tuple(arguments.game or ["tic_tac_toe"]),
        seeds=tuple(range(arguments.first_seed, arguments.first_seed + arguments.seeds)),
        a=tuple(" ".join(arguments.a).split()),
        b=tuple(" ".join(arguments.b or (["search.num_simulations=16"] if short else [])).split()),
        both=tuple(" ".join(arguments.set).split()),
        preset="quick" if short else arguments.preset,
        minutes=0.5 if short else arguments.minutes,
        clock=arguments.clock,
        simulations=arguments.simulations,
        positions=arguments.positions,
        positions_of=arguments.positions_of,
        solver_limit=arguments.solver_limit,
        opponents=tuple(arguments.opponent),
        matches=arguments.matches,
        versus=arguments.versus,
    )
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(arguments.output or temporary)
        runner = Runner(
            plan,
            directory,
            cores=chosen_cores(arguments),
            warm_up=not arguments.cold,
            baseline=None if arguments.baseline is None else Path(arguments.baseline),
            say=say,
        )
        plan.store(directory)
        if not arguments.only_report:
            runner.run()
        publish(report(plan, directory), directory, arguments, table)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    found = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_training_options(found)
    add = found.add_argument
    add("--a", action="append", default=[], help='settings of arm A: "search.x=1 learner.y=2"')
    add("--b", action="append", default=[], help="settings of arm B")
    add("--seeds", type=int, default=1, help="how many")
    add("--opponent", action="append", default=[], help="such as mcts:200; repeatable")
    add("--matches", type=int, default=60, help="against each opponent")
    add("--versus", action="store_true", help="the arms play each other, too")
    add("--baseline", help="directory of another comparison, whose arm A is taken")
    return found


if __name__ == "__main__":
    run_main(main, parser())
