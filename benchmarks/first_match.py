"""Measures the time from the start of `pip install` to the first finished match.

    python benchmarks/first_match.py [--cores N ...] [--installed] [--game GAME]

For each number of cores that the processes are to see (see tests/faked_machine.py: they share the
cores that there are) a fresh environment is made, the package is installed into it with
constraints.txt as in README.md, and `selfplay train GAME` is started with an empty compilation
cache; the first finished match is the first file below RUN/matches. `--installed` leaves the
installation out and uses this interpreter. Packages that pip has in its own cache are not loaded
again: its state is printed. Prints one JSON object.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faked_machine import Machine

ROOT = Path(__file__).parents[1]
LONGEST_SECONDS = 600.0


def main() -> None:
    """Measures each number of cores in turn and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2, 6, 12])
    parser.add_argument("--installed", action="store_true", help="leave the installation out")
    parser.add_argument("--game", default="connect_four")
    asked = parser.parse_args()
    found = {}
    for cores in asked.cores:
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory)
            begin = time.monotonic()
            python = sys.executable if asked.installed else install(folder / "venv")
            installed = time.monotonic() - begin
            first = first_match(python, cores, asked.game, folder)
        found[cores] = {
            "install_seconds": None if asked.installed else round(installed, 1),
            "train_to_match_seconds": round(first, 1),
            "seconds": round(first if asked.installed else installed + first, 1),
        }
        print(f"{cores} cores: {found[cores]}", file=sys.stderr, flush=True)
    print(json.dumps({"game": asked.game, "pip_cache": pip_cache(), "cores": found}, indent=1))


def install(venv: Path) -> str:
    """Makes an environment, installs this checkout and returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = str(venv / "bin" / "python")
    target = f"{ROOT}[onnx,web]"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", target],
        check=True,
    )
    return python


def first_match(python: str, cores: int, game: str, folder: Path) -> float:
    """Returns the seconds from the start of `selfplay train` to the first finished match."""
    environment = Machine(name="first", cores=cores).environment(folder)
    begin = time.monotonic()
    process = subprocess.Popen(
        [python, "-m", "selfplay", "train", game, "--run", "run"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not any((folder / "run").glob("matches/*/[0-9]*.parquet")):
            if process.poll() is not None or time.monotonic() - begin > LONGEST_SECONDS:
                raise SystemExit(f"selfplay train made no match: exit code {process.poll()}")
            time.sleep(0.02)
        return time.monotonic() - begin
    finally:
        process.kill()
        process.wait()


def pip_cache() -> str:
    """Returns what pip says of its own cache."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "cache", "info"],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if "size" in line or "Number" in line]
    return "; ".join(line.strip() for line in lines) or "not known"


if __name__ == "__main__":
    main()
