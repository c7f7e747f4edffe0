"""Whether commands end as they should while the machine is busy.

    python benchmarks/exits.py --times 200 --busy 2

Makes a small run of tic-tac-toe, keeps the cores busy, and calls each command again and again:
most end while threads of JAX, ONNX Runtime or Arrow exist. Some are interrupted by Ctrl-C or
SIGTERM at a random moment of the first 20 seconds. Counts the calls that ended by a signal, with
another exit code or too late. Without arguments a third of the commands are called once beside one
busy process, and interrupted within 6 seconds.
"""

import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PATIENCE_SECONDS = 300.0
SELFPLAY = (sys.executable, "-m", "selfplay")
QUIET = ("--preset", "quick", "--set", "evaluation.enabled=false")
SHORT = (
    *("--times", "1", "--busy", "1", "--updates", "50", "--within", "6"),
    *("--only", "status", "export", "worker", "train"),
)
"""The arguments where none are given."""


def commands(folder: Path) -> dict[str, tuple[list[str], signal.Signals | None, set[int]]]:
    """Returns the commands to try: arguments, the signal that interrupts, the right exit codes."""
    run = str(folder / "r")
    ended: dict[str, list[str]] = {
        "matches --limit 3": ["matches", run, "--limit", "3"],
        "matches": ["matches", run],
        "matches --checkpoints": ["matches", run, "--checkpoints"],
        "status": ["status", run, "--json"],
        "health": ["health", run, "--json"],
        "games": ["games"],
        "curve": ["curve", run, "--output", str(folder / "curve.svg")],
        "analyze": ["analyze", run, "--moves", "4"],
        "arena": ["arena", run, "random", "--matches", "4"],
        "play": ["play", run, "--side", "none"],
        "play, plain Python": ["play", "clobber", "--opponent", "random", "--side", "none"],
        "export": ["export", run, "FILE.onnx"],
        "worker": ["worker", "--run", run, "--dry-run", "--jitter", "0", "--max-matches", "8"],
        "train": ["train", "tic_tac_toe", "--run", "NEW", *QUIET, "--updates", "3"],
    }
    interrupted: dict[str, tuple[list[str], signal.Signals]] = {
        "train, Ctrl-C": (["train", "tic_tac_toe", "--run", "NEW", *QUIET], signal.SIGINT),
        "train, SIGTERM": (["train", "tic_tac_toe", "--run", "NEW", *QUIET], signal.SIGTERM),
        "worker, SIGTERM": (["worker", "--run", run, "--dry-run"], signal.SIGTERM),
        "evaluator, SIGTERM": (["evaluator", "--run", run], signal.SIGTERM),
        "arena, Ctrl-C": (["arena", run, "mcts:500", "--matches", "200"], signal.SIGINT),
        "check, Ctrl-C": (["check", "clobber"], signal.SIGINT),
    }
    # Before it listens to a signal, a process ends by it: 130 for Ctrl-C, 143 or the signal itself.
    early = {0, 130, 143, -signal.SIGTERM}
    health = {"health": {1}}
    return {
        **{name: (line, None, health.get(name, {0})) for name, line in ended.items()},
        **{name: (line, number, early) for name, (line, number) in interrupted.items()},
    }


def call(
    line: Sequence[str],
    number: signal.Signals | None,
    folder: Path,
    moment: float,
) -> tuple[str, str]:
    """Runs a command once, and sends it the signal after `moment` seconds.

    Returns how it ended, such as "exit code 0", and what it wrote to the error stream.
    """
    with tempfile.TemporaryDirectory(dir=folder) as own:
        fresh = {"NEW": f"{own}/run", "FILE.onnx": f"{own}/file.onnx"}
        process = subprocess.Popen(
            [*SELFPLAY, *(fresh.get(word, word) for word in line)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            if number is not None:
                time.sleep(moment)
                process.send_signal(number)
            errors = process.communicate(timeout=PATIENCE_SECONDS)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            return "never", process.communicate()[1]
    return f"exit code {process.returncode}", errors


def keep_busy(count: int) -> Callable[[], None]:
    """Starts processes that do nothing but compute; returns what ends them."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]

    def end() -> None:
        for process in busy:
            process.kill()
            process.wait()

    return end


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=20, help="calls of each command")
    parser.add_argument("--busy", type=int, default=os.cpu_count() or 1, help="busy processes")
    parser.add_argument(
        "--only", nargs="+", default=[""], help="commands whose name contains one of these"
    )
    parser.add_argument("--updates", type=int, default=1000, help="of the run that they read")
    parser.add_argument("--within", type=float, default=20.0, help="seconds until a signal")
    options = parser.parse_args(sys.argv[1:] or SHORT)
    chance = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="selfplay-exits-") as made:
        folder = Path(made)
        train = ["train", "tic_tac_toe", "--run", str(folder / "r"), "--preset", "quick"]
        subprocess.run(
            [*SELFPLAY, *train, "--updates", str(options.updates)], check=True, capture_output=True
        )
        end = keep_busy(options.busy)
        try:
            print("| command | calls | ended wrongly | how |\n| --- | ---: | ---: | --- |")
            for name, (line, number, right) in commands(folder).items():
                if not any(part in name for part in options.only):
                    continue
                ends: collections.Counter[str] = collections.Counter()
                for _ in range(options.times):
                    # Not while Python itself starts, which nobody can make end well.
                    moment = chance.uniform(2.0, options.within)
                    how, errors = call(line, number, folder, moment)
                    fault = next((text for text in errors.splitlines() if "fault" in text), "")
                    if how not in {f"exit code {code}" for code in right} or fault:
                        ends[f"{how} {fault or errors.strip()[-80:]}".replace("|", "/")] += 1
                wrong = "; ".join(f"{count} x {how}" for how, count in ends.items())
                print(f"| {name} | {options.times} | {ends.total()} | {wrong} |", flush=True)
        finally:
            end()


if __name__ == "__main__":
    main()
