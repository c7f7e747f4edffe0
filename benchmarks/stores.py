"""What a store takes: uploads per second, checkpoint pick-up, joining a run with many files.

    python benchmarks/stores.py                     in short, as Markdown tables
    python benchmarks/stores.py --seconds 5         all stores, 1, 4 and 16 players
    python benchmarks/stores.py --store directory --players 1 4

Players are processes of their own. The servers of Redis and of the bucket (moto, a simulation in
Python) run on this machine, so the figures say what the code and the protocol cost, not a network.
Needs redis-server and the packages redis, s3fs and moto[server].
"""

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory
from selfplay.settings import Config

KINDS = ("directory", "bucket", "redis")
FILE_BYTES = 20_000
"""About 16 matches of Connect Four."""
WEIGHTS = 500_000
"""A residual network of 6 blocks of 64 channels, in float32: 2 MB."""
SHORT = ("--players", "1", "4", "--seconds", "1", "--publications", "10", "--files", "1000")
"""The arguments where none are given."""
UPDATES = 1_000_000
"""Beyond every update of the measurement: the end."""


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """Starts what the stores need; gives a URL for each kind."""
    ports = []
    for _ in range(2):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
    redis, s3 = map(str, ports)
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    # As a server that must not forget would run: written to disk every second.
    options = ["--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    moto = "import sys; from moto.server import main; main(sys.argv[1:])"
    commands = [
        ["redis-server", "--port", redis, *options],
        [sys.executable, "-c", moto, "-H", "127.0.0.1", "-p", s3],
    ]
    with contextlib.ExitStack() as stack:
        for command in commands:
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            stack.callback(process.terminate)
        for port in ports:
            wait_for(port)
        import s3fs

        s3fs.S3FileSystem().mkdir("runs")
        yield {
            "directory": str(folder / "runs"),
            "bucket": "s3://runs",
            "redis": f"redis://127.0.0.1:{redis}/0",
        }


def wait_for(port: int) -> None:
    """Waits until a server listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def play(url: str, player: str) -> None:
    """Is one player: uploads when told so, then reports every checkpoint it has picked up."""
    run = RunDirectory.open(url)
    data = np.random.default_rng(0).bytes(FILE_BYTES)
    say("ready")
    seconds = float(input())
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        if not run.matches.put_encoded(player, number, data):
            raise RuntimeError(f"number {number} of {player} was taken")
        number += 1
    say(str(number))
    update: int | None = None
    while update != UPDATES:
        update = run.checkpoints.wait_for_newer(update, 600)
        noticed = time.monotonic()
        if update is None:
            raise RuntimeError("no checkpoint for ten minutes")
        run.checkpoints.load(update, "weights")
        say(json.dumps([update, noticed, time.monotonic()]))


def measure(url: str, players: int, seconds: float, publications: int) -> list[str]:
    """Returns one row of the first table."""
    run = RunDirectory.create(url, GameSpec("tic_tac_toe"), make("tic_tac_toe"), Config())
    crew = [
        subprocess.Popen(
            [sys.executable, __file__, "--play", url, f"p{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(players)
    ]
    try:
        for one in crew:
            answer(one)
        for one in crew:
            tell(one, str(seconds))
        uploads = sum(int(answer(one)) for one in crew) / seconds
        noticed: list[float] = []
        loaded: list[float] = []
        weights = {"weights": {"w": np.zeros(WEIGHTS, np.float32)}}
        for update in range(publications + 1):
            # The first is for warming up; the players leave after the last.
            last = update == publications
            run.checkpoints.save(UPDATES if last else update, weights)
            published = time.monotonic()
            for one in crew:
                _, at, then = json.loads(answer(one))
                if update:
                    # It may be noticed before `save` has returned.
                    noticed.append(max(0.0, at - published))
                    loaded.append(max(0.0, then - published))
            run.checkpoints.prune(keep_last=2)
    finally:
        for one in crew:
            one.kill()
            one.communicate()
    return [
        str(players),
        f"{uploads:.0f}",
        f"{uploads * FILE_BYTES / 1e6:.1f}",
        *(f"{statistics.median(times):.2f} / {max(times):.2f}" for times in (noticed, loaded)),
    ]


def join(url: str, many_files: int) -> list[str]:
    """Returns one row of the second table: a run with so many files of matches."""
    run = RunDirectory.create(url, GameSpec("tic_tac_toe"), make("tic_tac_toe"), Config())
    run.checkpoints.save(1, {"weights": {"w": np.zeros(WEIGHTS, np.float32)}})
    data = bytes(1000)

    def fill(worker: int) -> None:
        files = RunDirectory.open(url).matches
        for number in range(many_files // 8):
            files.put_encoded(f"w{worker}", number, data)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fill, range(8)))

    def timed(*calls: object) -> str:
        begin = time.monotonic()
        for call in calls:
            call()  # type: ignore[operator]
        return f"{time.monotonic() - begin:.2f}"

    fresh = RunDirectory.open(url)
    cursor = {f"w{worker}": many_files // 8 for worker in range(8)}
    return [
        timed(
            lambda: RunDirectory.open(url).matches.next_sequence("w3"),
            lambda: fresh.checkpoints.load_latest("weights"),
        ),
        timed(lambda: RunDirectory.open(url).matches.next_sequence("new")),
        timed(lambda: fresh.matches.after({}, 64)),
        timed(lambda: fresh.matches.after(cursor, 64)),
        timed(lambda: fresh.matches.entries()),
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def say(text: str) -> None:
    print(text, flush=True)


def tell(process: "subprocess.Popen[str]", text: str) -> None:
    if process.stdin is not None:
        process.stdin.write(f"{text}\n")
        process.stdin.flush()


def answer(process: "subprocess.Popen[str]") -> str:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise RuntimeError("a player has ended")
    return line


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--play", nargs=2, metavar=("URL", "NAME"), help=argparse.SUPPRESS)
    parser.add_argument("--store", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--players", nargs="+", type=int, default=(1, 4, 16))
    parser.add_argument("--seconds", type=float, default=5.0, help="of uploading")
    parser.add_argument("--publications", type=int, default=100)
    parser.add_argument("--files", type=int, default=10_000, help="of the run that is joined")
    arguments = parser.parse_args(sys.argv[1:] or SHORT)
    if arguments.play:
        play(*arguments.play)
        return
    needed = {"redis": importlib.util.find_spec("redis"), "s3fs": importlib.util.find_spec("s3fs"),
              "moto[server]": importlib.util.find_spec("moto"),
              "redis-server": shutil.which("redis-server")}  # fmt: skip
    missing = [name for name, found in needed.items() if found is None]
    if missing:
        print(f"skipped: {' and '.join(missing)} is not installed")
        return
    folder = Path(tempfile.mkdtemp(prefix="selfplay-stores-"))
    rows, joins = [], []
    try:
        with servers(folder) as roots:
            for kind in arguments.store:
                for players in arguments.players:
                    url = f"{roots[kind]}/{kind}{players}"
                    row = measure(url, players, arguments.seconds, arguments.publications)
                    rows.append([kind, *row])
                    print(f"{kind}, {players} players: done", file=sys.stderr)
                joins.append([kind, *join(f"{roots[kind]}/{kind}-many", arguments.files)])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{os.cpu_count()} CPU cores; files of {FILE_BYTES / 1e3:.0f} kB, weights of "
          f"{4 * WEIGHTS / 1e6:.0f} MB, {arguments.publications} checkpoints\n")  # fmt: skip
    header = ["store", "players", "uploads per second", "MB per second"]
    header += ["noticed after, median / worst (s)", "loaded after, median / worst (s)"]
    print(table(header, rows))
    print(f"\nA run with {arguments.files:,} files of matches (seconds)\n")
    header = ["store", "a worker comes back", "a new worker joins", "first look of a trainer"]
    print(table([*header, "later look", "list everything"], joins))


if __name__ == "__main__":
    main()
