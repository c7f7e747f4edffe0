"""Runs every command on many faked machines and prints a table: which of them pass.

    python benchmarks/machines.py [--only TEXT] [--python FILE] [--cache DIR]

A machine is what a process sees: cores, quota, memory, home, clock, terminal (see
tests/faked_machine.py). On each one tic-tac-toe is trained for a few updates and resumed with
another number of cores; then the run is used in every other way. `--python` is the interpreter of
another checkout, to compare with. What failed is printed below the table, and the exit code is 1.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faked_machine import Machine

SETTINGS = (
    *("network.kind=mlp", "search.num_simulations=4", "rollout.matches_per_device=8"),
    *("replay.first_positions=100", "replay.min_window=200", "trainer.replay_ratio=8"),
    # The default batch: not every number of devices divides it.
    *("learner.batch_size=128", "evaluation.matches=2", "evaluation.first_seconds=1e6"),
    "evaluation.mistake_positions=0",
)
TINY = ["--preset", "quick", *(text for setting in SETTINGS for text in ("--set", setting))]

CORES = (1, 2, 3, 6, 10, 12, 24, 64, 96)
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

MOST = 32
"""Devices of one process, by default."""

MACHINES = {
    **{Machine(name=f"{cores} cores", cores=cores): min(cores, MOST) for cores in CORES},
    Machine(name="12 threads on 6 cores", cores=12, threads_per_core=2): 6,
    Machine(name="32 cores, quota 2", cores=32, quota=2.0, memory=4 * 10**9): 2,
    Machine(name="32 cores, quota 2.5 (v1)", cores=32, quota=2.5, version=1, memory=4 * 10**9): 2,
    Machine(name="16 cores, OMP_NUM_THREADS=5", cores=16, environ={"OMP_NUM_THREADS": "5"}): 5,
    Machine(name="24 cores, allowed on 7", cores=24, allowed=7): 7,
    Machine(name="8 devices by JAX", environ={"JAX_NUM_CPU_DEVICES": "8"}): 8,
    Machine(name="no ONNX Runtime", cores=3, blocked=("onnxruntime",)): 3,
    Machine(name="no AVX-512", flags="avx2", environ={"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}): 2,
    Machine(name="home not writable", home="read-only"): 2,
    Machine(name="40 columns, ASCII", environ={"COLUMNS": "40", **ASCII}): 2,
    Machine(name="other time zone", environ={"TZ": "Pacific/Chatham"}): 2,
    Machine(name="clock jumps 5 minutes", clock_jumps=True): 2,
    Machine(name="no /proc, no affinity", cores=10, is_linux=False): 10,
}
"""How many devices the first command presents on each machine."""


def commands(machine: Machine) -> dict[str, tuple[Machine, list[str], str]]:
    """Returns for each command: the machine that runs it, its arguments, and what is typed."""
    others = {1: 3, 2: 1}
    other = replace(machine, cores=others.get(machine.cores, machine.cores // 2))
    run = ["--run", "run"]
    typed = "4\n0\n1\n2\n3\n5\n6\n7\n8\n" * 2
    train = ["train", "tic_tac_toe", *run]
    return {
        "train": (machine, [*train, *TINY, "--updates", "4"], ""),
        "resume": (other, [*train, "--updates", "8"], ""),
        "trainer": (machine, ["trainer", *run, "--updates", "12", "--idle-exit", "2"], ""),
        "worker": (machine, ["worker", *run, "--max-matches", "4", "--jitter", "0"], ""),
        "evaluator": (machine, ["evaluator", *run, "--max-matches", "2"], ""),
        "play": (machine, ["play", "run", "--simulations", "4"], typed),
        "export": (machine, ["export", "run", "run.onnx"], ""),
        "status": (machine, ["status", "run", "--json"], ""),
        "doctor": (machine, ["doctor"], ""),
    }


def problem(name: str, done: subprocess.CompletedProcess[str], folder: Path, devices: int) -> str:
    """Returns what is wrong with how a command went, or ""."""
    if done.returncode:
        return f"exit code {done.returncode}"
    if "Traceback" in done.stderr or "Traceback" in done.stdout:
        return "a traceback"
    if name in ("train", "resume") and "finished" not in done.stdout:
        return "does not say that it has finished"
    # Lines are wrapped where the terminal ends.
    if name == "train" and f"tree of {8 * devices} matches" not in " ".join(done.stdout.split()):
        return f"it does not play the {8 * devices} matches of {devices} devices"
    if done.stderr.count("cache") > 1:
        return "more than one line about the cache"
    if name == "status" and json.loads(done.stdout)["update"] < 8:
        return "updates are missing"
    if name == "export" and not (folder / "run.onnx").is_file():
        return "no file"
    return ""


def try_machine(
    machine: Machine, devices: int, folder: Path, python: str, cache: Path
) -> dict[str, tuple[str, float, str]]:
    """Returns for each command what is wrong ("" if nothing is), its seconds and its output."""
    found: dict[str, tuple[str, float, str]] = {}
    for name, (seen, arguments, typed) in commands(machine).items():
        if name != "doctor" and found.get("train", ("",))[0].startswith("exit"):
            found[name] = ("-", 0.0, "")
            continue
        begin = time.monotonic()
        # Without a writable home, the folder for temporary files shows whether it does as well.
        own = None if machine.home else cache
        try:
            done = seen.run(
                folder, *arguments, python=python, cache=own, typed=typed, timeout=300.0
            )
            wrong = problem(name, done, folder, devices)
            output = done.stdout + done.stderr
        except subprocess.TimeoutExpired:
            wrong, output = "no end after 300 s", ""
        found[name] = (wrong, time.monotonic() - begin, output)
    return found


def main() -> int:
    """Tries all machines and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="machines whose name has this text")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--cache", type=Path, help="of compiled programs; a new one by default")
    asked = parser.parse_args()
    names = list(commands(Machine(name="any")))
    print("| machine | " + " | ".join(names) + " |")
    print("| --- |" + " --- |" * len(names), flush=True)
    failures = []
    with tempfile.TemporaryDirectory() as directory:
        cache = asked.cache or Path(directory) / "cache"
        for index, (machine, devices) in enumerate(MACHINES.items()):
            if asked.only not in machine.name:
                continue
            folder = Path(directory) / str(index)
            folder.mkdir()
            found = try_machine(machine, devices, folder, asked.python, cache)
            cells = [
                "pass" if not wrong else "-" if wrong == "-" else "**fail**"
                for wrong, *_ in found.values()
            ]
            print(f"| {machine.name} | " + " | ".join(cells) + " |", flush=True)
            failures += [
                f"{machine.name}, {name}: {wrong} after {seconds:.0f} s\n{output[-1500:]}"
                for name, (wrong, seconds, output) in found.items()
                if wrong not in ("", "-")
            ]
            seconds = {name: round(seconds, 1) for name, (_, seconds, _) in found.items()}
            print(f"{machine.name}: {seconds}", file=sys.stderr, flush=True)
    for text in failures:
        print(f"\n{text}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
