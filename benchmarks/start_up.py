"""Measures the time from the start of a process to its first finished match, and peak memory.

    python benchmarks/start_up.py [GAME] [REPEATS] [--peak-seconds 60]

`selfplay train GAME` is started with an empty compilation cache (cold) and then again with the
one it left (warm); the first finished match is the first file under RUN/matches. Peak memory is
that of a third process, after a minute. Without arguments it is Connect Four, once, and peak
memory after 30 seconds. Prints one JSON object.
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

SHORT = ("connect_four", "1", "--peak-seconds", "30")
"""The arguments where none are given."""


def main(game: str, repeats: int, peak_seconds: float) -> None:
    """Measures and prints."""
    cold, warm, peaks = [], [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as directory:
            cache = Path(directory) / "cache"
            cold.append(first_match(game, Path(directory) / "cold", cache))
            warm.append(first_match(game, Path(directory) / "warm", cache))
            peaks.append(peak_memory(game, Path(directory) / "peak", cache, peak_seconds))
    print(
        json.dumps(
            {
                "game": game,
                "repeats": repeats,
                "cold_seconds": {"median": statistics.median(cold), "worst": max(cold)},
                "warm_seconds": {"median": statistics.median(warm), "worst": max(warm)},
                "peak_memory_bytes": max(peaks),
                "peak_after_seconds": peak_seconds,
            }
        )
    )


def first_match(game: str, run: Path, cache: Path) -> float:
    """Returns the seconds until the first file of matches."""
    begin = time.monotonic()
    process = _start(game, run, cache)
    try:
        while not any(run.glob("matches/*/*.parquet")):
            if process.poll() is not None:
                raise SystemExit(f"selfplay train ended with {process.returncode}")
            time.sleep(0.02)
        return round(time.monotonic() - begin, 2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def peak_memory(game: str, run: Path, cache: Path, seconds: float) -> int:
    """Returns the peak resident bytes of a process that trains for so many seconds."""
    process = _start(game, run, cache)
    try:
        time.sleep(seconds)
        status = Path(f"/proc/{process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _start(game: str, run: Path, cache: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "selfplay", "train", game, "--run", str(run)],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("game", nargs="?", default="connect_four")
    parser.add_argument("repeats", nargs="?", type=int, default=1)
    parser.add_argument("--peak-seconds", type=float, default=60.0)
    arguments = parser.parse_args(sys.argv[1:] or SHORT)
    if Path("/proc/self/status").exists():
        main(arguments.game, arguments.repeats, arguments.peak_seconds)
    else:
        print("skipped: peak memory is read in /proc, which this system does not have")
