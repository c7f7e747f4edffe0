"""Measures simulations and updates per second by the number of CPU devices of one process.

    python benchmarks/devices.py [GAME] [--devices N ...] [--seconds S]

Each number is measured by `selfplay bench GAME --devices N`, with 64 matches a device and a batch
of the default size that they share. Beyond the cores of the machine it shows what more devices
cost without giving any: waiting for each other, for Python's lock, and samples that fill up a
batch. Prints a table.
"""

import argparse
import json
import subprocess
import sys
from typing import Any


def main() -> None:
    """Measures each number in turn and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("game", nargs="?", default="connect_four")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 3, 4, 8, 16, 32])
    parser.add_argument("--seconds", type=float, default=30.0)
    asked = parser.parse_args()
    print("| devices | matches | simulations/s | times the first row | updates/s |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    first = None
    for devices in asked.devices:
        found = measure(asked.game, devices, asked.seconds)
        simulations = found["simulations_per_second"]
        low, high = found["spread"]
        first = first or simulations
        print(
            f"| {devices} | {found['batch']} | {simulations:,.0f} ({low:,.0f} to {high:,.0f}) | "
            f"{simulations / first:.2f} | {found['updates_per_second']:.1f} |",
            flush=True,
        )


def measure(game: str, devices: int, seconds: float) -> dict[str, Any]:
    """Returns what `selfplay bench` says of so many devices."""
    arguments = ["bench", game, "--devices", str(devices), "--seconds", str(seconds), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "selfplay", *arguments], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
