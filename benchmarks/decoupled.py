"""Compares a trainer and workers with `selfplay train`, on the same cores and replay ratio.

    python benchmarks/decoupled.py connect_four --seconds 120 --rounds 3
    python benchmarks/decoupled.py connect_four --workers 4

Without arguments it runs a short measurement: tic-tac-toe, 30 seconds, one round. Both use the real
commands and take turns, each round in a new run. The rates are differences between two heartbeats
of the trainer, after `--warm-up` seconds. `pickup_seconds` is the time from the publication of a
checkpoint to its first use by a worker, median and worst. `both_active` is the number of
intervals of ten seconds in which the trainer made updates and every worker made simulations.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RATES = ("matches", "positions", "update")
INTERVAL_SECONDS = 10.0
PICKUPS = ("median_pickup_seconds", "worst_pickup_seconds")


def measure(
    commands: list[list[str]], run: Path, *, warm_up: float, seconds: float
) -> dict[str, Any]:
    """Returns matches, positions and updates per second, the reuse, and what a worker says.

    "first_update_time" is when the first update was seen, in seconds since 1970;
    "first_update_seconds" how long after the start of the processes that was.
    """
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "selfplay", *command],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
            )
            for command in commands
        ]
        try:
            wait_for_updates(run)
            first_update_time = time.time()
            first_update_seconds = time.monotonic() - begin
            time.sleep(warm_up)
            first = look(run)
            intervals = watch(run, seconds)
            last = look(run)
            pickups = look_at_workers(run)
            for process in processes:
                if process.poll() is not None:
                    log.seek(0)
                    raise SystemExit(f"it ended early:\n{log.read()[-2000:]}")
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait(120)
    passed = last["time"] - first["time"]
    rates = {f"{name}_per_second": (last[name] - first[name]) / passed for name in RATES}
    return {
        **rates,
        "reuse": last["reuse"],
        "first_update_time": first_update_time,
        "first_update_seconds": first_update_seconds,
        **pickups,
        "intervals": intervals,
    }


def watch(run: Path, seconds: float) -> list[bool]:
    """Returns for each interval of these seconds whether all processes of the run were active."""
    active = []
    before = work_done(run)
    for _ in range(max(1, round(seconds / INTERVAL_SECONDS))):
        time.sleep(INTERVAL_SECONDS)
        now = work_done(run)
        active.append(all(now[id] > done for id, done in before.items()))
        before = now
    return active


def work_done(run: Path) -> dict[str, int]:
    """Returns how much each process has done: updates of the trainer, simulations of a worker."""
    from selfplay.run import read_heartbeats

    counts = {"trainer": "update", "worker": "simulations"}
    return {
        f"{beat.role}-{beat.id}": int(beat.fields[counts[beat.role]])
        for beat in read_heartbeats(run)
        if beat.role in counts
    }


def look(run: Path) -> dict[str, Any]:
    """Returns what the trainer last said."""
    from selfplay.run import read_heartbeats

    (beat,) = [beat for beat in read_heartbeats(run) if beat.role == "trainer"]
    return {"time": beat.time, **beat.fields}


def look_at_workers(run: Path) -> dict[str, Any]:
    """Returns how soon the workers played with new checkpoints, None where none did."""
    from selfplay.run import read_heartbeats

    fields = [beat.fields for beat in read_heartbeats(run) if beat.role == "worker"]
    known = [one for one in fields if one[PICKUPS[0]] is not None]
    return {
        PICKUPS[0]: statistics.median(one[PICKUPS[0]] for one in known) if known else None,
        PICKUPS[1]: max((one[PICKUPS[1]] for one in known), default=None),
    }


def wait_for_updates(run: Path) -> None:
    """Waits until the run learns."""
    from selfplay.run import read_heartbeats

    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        beats = read_heartbeats(run) if run.exists() else []
        if any(beat.role == "trainer" and beat.fields.get("update", 0) > 0 for beat in beats):
            return
        time.sleep(0.5)
    raise SystemExit("no update in a quarter of an hour")


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("game", nargs="?", default="tic_tac_toe")
    parser.add_argument("--preset", help="default, or quick for tic_tac_toe")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--warm-up", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="of one thread each, if several")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    arguments = parser.parse_args()
    short = "quick" if arguments.game == "tic_tac_toe" else "default"
    settings = ["--preset", arguments.preset or short, "--set", "evaluation.enabled=false"]
    settings += [text for one in arguments.settings for text in ("--set", one)]
    results: dict[str, list[dict[str, Any]]] = {"loop": [], "decoupled": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            for kind, found in results.items():
                run = Path(folder) / f"{kind}-{number}"
                if kind == "loop":
                    commands = [["train", arguments.game, "--run", str(run), *settings]]
                else:
                    game = ["--game", arguments.game]
                    share = ["--devices", "1"] if arguments.workers > 1 else []
                    worker = ["worker", "--run", str(run), "--jitter", "0", *share]
                    commands = [
                        ["trainer", "--run", str(run), *game, *settings, *share],
                        *[worker] * arguments.workers,
                    ]
                found.append(
                    measure(commands, run, warm_up=arguments.warm_up, seconds=arguments.seconds)
                )
                print(kind, json.dumps(found[-1]), file=sys.stderr, flush=True)
    names = [f"{name}_per_second" for name in RATES] + ["reuse", "first_update_seconds"]
    medians = {
        kind: {name: statistics.median(one[name] for one in found) for name in names}
        for kind, found in results.items()
    }
    known = [one for one in results["decoupled"] if one[PICKUPS[0]] is not None]
    pickups = {
        "median": statistics.median(one[PICKUPS[0]] for one in known) if known else None,
        "worst": max((one[PICKUPS[1]] for one in known), default=None),
    }
    noted = [active for one in results["decoupled"] for active in one["intervals"]]
    together = {"intervals": len(noted), "both_active": sum(noted), "seconds": INTERVAL_SECONDS}
    ratios = {name: medians["decoupled"][name] / medians["loop"][name] for name in names}
    print(json.dumps({**medians, "ratio": ratios, "pickup_seconds": pickups, **together}, indent=1))


if __name__ == "__main__":
    main()
