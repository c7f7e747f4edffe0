"""Chaos: a trainer, two workers and an evaluator on one run, while everything happens to them.

    python benchmarks/chaos.py /tmp/chaos --kills 200 > table.md

Processes are killed, ended, frozen and continued at random instants; the disk is full for a while;
files are damaged; clocks are wrong; a second worker takes an id that is in use. Each process that
is gone is started again with the same command. At the end every match whose storing was confirmed
must be there exactly once, the update count must never have gone back, the newest checkpoint must
be what the records make of the seed, bit for bit, and nothing may have hung.

The processes run the real commands: see `benchmarks/faults/`.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Also where this file is run as a script.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.faults.driver import Chaos, HangError
from benchmarks.faults.outcome import MUST_BE_ZERO

OTHERS = ("full disk", "damaged matches", "damaged heartbeat", "damaged rating", "wrong clock",
          "id in use")  # fmt: skip


def plan(kills: int, *, seed: int) -> list[str]:
    """Returns faults in random order: so many kills, and others in proportion."""
    source = random.Random(seed)
    faults = ["SIGKILL"] * kills + ["SIGTERM"] * (kills // 5) + ["SIGSTOP"] * (kills // 5)
    for other in OTHERS:
        faults += [other] * max(1, kills // 20)
    source.shuffle(faults)
    return faults


WHAT = {
    "SIGKILL": "killed at a random instant, started again",
    "SIGTERM": "asked to end, started again",
    "SIGSTOP": "frozen for up to 2 seconds, continued",
    "full disk": "every write fails for up to 2 seconds, in half of the cases with a kill",
    "damaged matches": "a cut file with a flipped bit in the place of a worker's next one",
    "damaged heartbeat": "all heartbeats overwritten with noise",
    "damaged rating": "the newest evaluation cut off",
    "wrong clock": "a process started again with a clock that is 5 minutes or a day off",
    "id in use": "a second worker of the same id",
}


def table(chaos: Chaos, result: dict[str, Any], *, seconds: float) -> str:
    """Returns what was tried and survived as Markdown."""
    lines = ["| fault | to | tried | survived |", "| --- | --- | ---: | ---: |"]
    for name in sorted(chaos.tried):
        kind = next(kind for kind in WHAT if name.startswith(kind))
        to = name.removeprefix(kind).strip() or "any process or file"
        lines.append(
            f"| {kind}: {WHAT[kind]} | {to} | {chaos.tried[name]} | {chaos.survived[name]} |"
        )
    tried, survived = sum(chaos.tried.values()), sum(chaos.survived.values())
    lines += [
        f"| all | | {tried} | {survived} |",
        "",
        f"At the end: {result['matches']:,} matches in {result['files']:,} files, of which "
        f"{result['confirmed_files']:,} had been confirmed to their workers: "
        f"{result['lost']} lost, {result['changed']} changed; {result['twice']} matches twice, "
        f"{result['learnt_twice']} files learnt from twice, "
        f"{result['not_learnt']} not learnt from. "
        f"{result['damaged_files']:,} damaged files set aside, "
        f"{result['damaged_files_left']:,} not reached yet, "
        f"{result['evaluations']:,} evaluations stored. The update count went back "
        f"{result['went_back']} times; of checkpoint {result['update']:,}, made again from the "
        f"records, {result['not_equal']} arrays differ. {result['hangs']} hangs in "
        f"{seconds / 60:.0f} minutes. The slowest end after SIGTERM took "
        f"{chaos.slowest_end:.1f} seconds.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=Path, nargs="?",
        help="for run and logs; must not exist; by default one that is removed at the end",
    )  # fmt: skip
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.folder is not None:
        storm(arguments.folder, kills=arguments.kills, seed=arguments.seed)
        return
    with tempfile.TemporaryDirectory() as folder:
        storm(Path(folder) / "chaos", kills=arguments.kills, seed=arguments.seed)


def storm(folder: Path, *, kills: int, seed: int) -> None:
    """Does everything to a run in `folder` and prints the table."""
    if shutil.disk_usage(folder.parent).free < 2e9:
        raise SystemExit(f"less than 2 GB are free in {folder.parent}")
    begin = time.monotonic()
    chaos = Chaos(folder, seed=seed)
    try:
        faults = plan(kills, seed=seed)
        for index, kind in enumerate(faults):
            try:
                chaos.fault(kind)
            except HangError as error:
                print(f"hung after {kind}: {error}", file=sys.stderr, flush=True)
                break
            newest, files = chaos.progress()
            say = f"{index + 1}/{len(faults)} {kind}: checkpoint {newest}, {files} files"
            print(say, file=sys.stderr, flush=True)
        result = chaos.finish()
        print(table(chaos, result, seconds=time.monotonic() - begin))
        if wrong := {name: result[name] for name in MUST_BE_ZERO if result[name]}:
            raise SystemExit(f"not as it must be: {wrong}")
    finally:
        chaos.close()


if __name__ == "__main__":
    main()
