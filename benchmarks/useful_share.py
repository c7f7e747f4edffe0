"""Measures the share of the cores' time that `selfplay train` uses.

    python benchmarks/useful_share.py [GAME] [MINUTES]

Starts `selfplay train GAME` with its defaults. The first minute, in which everything is compiled,
does not count. The share is the CPU time of the process divided by cores times wall time; the rest
is the time in which cores wait for each other, for the host or for the disk. Linux only. Prints one
JSON object.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WARM_UP_SECONDS = 60.0


def main(game: str, minutes: float) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "run"
        command = [sys.executable, "-m", "selfplay", "train", game, "--run", str(run)]
        with subprocess.Popen(
            [*command, "--minutes", str(minutes)], stdout=subprocess.DEVNULL
        ) as process:
            time.sleep(WARM_UP_SECONDS)
            begin, used = time.monotonic(), cpu_seconds(process.pid)
            time.sleep(60 * minutes - WARM_UP_SECONDS - 10)
            wall, used = time.monotonic() - begin, cpu_seconds(process.pid) - used
            if process.wait() != 0:
                raise SystemExit(process.returncode)
        status = subprocess.run(
            [sys.executable, "-m", "selfplay", "status", str(run), "--json"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        document = json.loads(status.stdout)
    cores = len(os.sched_getaffinity(0))
    print(
        json.dumps(
            {
                "game": game,
                "cores": cores,
                "seconds": round(wall, 1),
                "useful_share": round(used / wall / cores, 3),
                "update": document["update"],
                "positions": document["positions"],
            }
        )
    )


def cpu_seconds(pid: int) -> float:
    """Returns what the process and its threads have used, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("game", nargs="?", default="connect_four")
    parser.add_argument("minutes", nargs="?", type=float, default=2.0, help="at least 1.5")
    arguments = parser.parse_args()
    if Path("/proc/self/stat").exists():
        main(arguments.game, arguments.minutes)
    else:
        print("skipped: CPU time is read in /proc, which this system does not have")
