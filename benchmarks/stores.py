"""What a store takes of a fleet: requests, uploads, pick-up of checkpoints, intake, joining.

    python benchmarks/stores.py                     in short, as Markdown tables
    python benchmarks/stores.py --count             only the requests, of 16 to 1,000 workers
    python benchmarks/stores.py --seconds 20        all stores, 16 to 1,000 workers
    python benchmarks/stores.py --store directory --workers 16 64
    python benchmarks/stores.py --store bucket --s3 ceph

Workers and trainer are simulated (`benchmarks/common/fleet.py`): they ask the store what real ones
ask, and play nothing. Requests are counted in simulated time around a bucket in memory, so the
machine does not matter. The servers of Redis and of the bucket run on this machine beside all
workers, so the times say what the code and the protocol cost, not a network. They need redis-server
and the packages redis, obstore and moto[server], which simulates an S3 server in Python. `--s3
ceph` starts a real one (Debian's ceph-mon, ceph-mgr, ceph-osd, radosgw).
"""

import argparse
import collections
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common.fleet import (
    Load,
    SimulatedTime,
    SimulatedTrainer,
    SimulatedWorker,
    create,
    delays,
    random_numbers,
    run_at_once,
    run_in_turn,
)
from benchmarks.common.memory_bucket import MemoryBucket
from benchmarks.common.servers import KINDS, S3_SERVERS, missing_programs, store_servers
from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory
from selfplay.settings import Config

REQUESTS = ("GET", "HEAD", "PUT", "LIST")
MATCHES_OF_A_FILE = 4
"""Of Connect Four, in 5 kB: what ends in a chunk of two seconds."""
WEIGHTS = 500_000
"""A residual network of 6 blocks of 64 channels, in float32: 2 MB."""
SHORT = ("--workers", "2", "8", "--seconds", "2", "--count-seconds", "70", "--files", "500")
"""The arguments where none are given."""


def simulate(url: str, first: int, count: int, load: Load) -> None:
    """Is the process of some workers: begins when told so, then reports what they did."""
    workers = [SimulatedWorker(RunDirectory.open(url), f"w{first + n}", load) for n in range(count)]
    say("ready")
    run_at_once(workers, until=float(input()))
    picked_up = [one for worker in workers for one in worker.picked_up]
    say(json.dumps([sum(worker.files for worker in workers), picked_up]))


def measure(url: str, workers: int, seconds: float, load: Load) -> tuple[int, int, str]:
    """Runs a fleet; returns files stored, files taken in, and delays of checkpoints in words."""
    create(url, load)
    processes = min(workers, os.cpu_count() or 1)
    shares = [workers // processes + (n < workers % processes) for n in range(processes)]
    starts = [sum(shares[:n]) for n in range(processes)]
    told = json.dumps(dataclasses.asdict(load))
    crew = [
        subprocess.Popen(
            [sys.executable, __file__, "--simulate", url, str(start), str(share), told],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for start, share in zip(starts, shares, strict=True)
    ]
    try:
        for one in crew:
            answer(one)
        until = time.monotonic() + seconds
        trainer = SimulatedTrainer(RunDirectory.open(url), load, time.monotonic)
        for one in crew:
            tell(one, str(until))
        run_at_once([trainer], until)
        answers = [json.loads(answer(one)) for one in crew]
    finally:
        for one in crew:
            one.kill()
            one.communicate()
    median, worst = delays(trainer.published, [one for _, picked in answers for one in picked])
    return sum(files for files, _ in answers), trainer.files, f"{median:.2f} / {worst:.2f}"


def at_work(root: str, workers: int, seconds: float) -> list[str]:
    """Returns one row of the second table: as fast as it goes, then at the rate of real workers."""
    fastest = Load(file_seconds=0.0, checkpoint_seconds=1e9)
    stored, taken, _ = measure(f"{root}-fast", workers, seconds, fastest)
    # Each worker has stored at least one file in that time, and a few checkpoints came.
    usual = Load(checkpoint_seconds=seconds)
    steady, taken_in, words = measure(f"{root}-usual", workers, 4.5 * seconds, usual)
    return [
        str(workers),
        f"{stored / seconds:.0f}",
        f"{stored * fastest.file_bytes / seconds / 1e6:.1f}",
        f"{MATCHES_OF_A_FILE * taken / seconds:.0f}",
        f"{MATCHES_OF_A_FILE * taken_in / (4.5 * seconds):.0f}",
        f"{steady - taken_in}",
        words,
    ]


def count(workers: int, seconds: float) -> list[str]:
    """Returns one row of the first table: the requests of a fleet in simulated time."""
    clock, load, bucket = SimulatedTime(), Load(), MemoryBucket()
    create(bucket, load)
    views = [bucket.another() for _ in range(workers + 1)]
    trainer = SimulatedTrainer(RunDirectory.open(views[0]), load, clock)
    crew = [
        SimulatedWorker(RunDirectory.open(view), f"w{number}", load, clock)
        for number, view in enumerate(views[1:])
    ]
    # The first seconds are not like the rest: the trainer does not know the workers yet.
    run_in_turn([trainer, *crew], clock, 30)
    for view in views:
        view.requests.clear()
    before = trainer.files
    run_in_turn([trainer, *crew], clock, seconds)
    of_workers = sum((view.requests for view in views[1:]), collections.Counter[str]())
    hours = seconds / 3600
    median, worst = delays(trainer.published, [one for worker in crew for one in worker.picked_up])
    return [
        str(workers),
        *(f"{of_workers[kind] / workers / hours:,.0f}" for kind in REQUESTS),
        *(f"{views[0].requests[kind] / hours:,.0f}" for kind in REQUESTS),
        f"{MATCHES_OF_A_FILE * (trainer.files - before) / seconds:.0f}",
        f"{median:.1f} / {worst:.1f}",
    ]


def join(url: str, many_files: int) -> list[str]:
    """Returns one row of the second table: a run with so many files of matches."""
    run = RunDirectory.create(url, GameSpec("tic_tac_toe"), make("tic_tac_toe"), Config())
    run.checkpoints.save(1, {"weights": {"w": random_numbers(WEIGHTS)}})
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
    parser.add_argument("--simulate", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--store", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--s3", choices=S3_SERVERS, default="moto", help="server of the bucket")
    parser.add_argument("--workers", nargs="+", type=int, default=(16, 64, 256, 1000))
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--count", action="store_true", help="count requests, and nothing else")
    parser.add_argument("--count-seconds", type=float, default=130.0, help="of simulated time")
    parser.add_argument("--files", type=int, default=10_000, help="of the run that is joined")
    arguments = parser.parse_args(sys.argv[1:] or SHORT)
    if arguments.simulate:
        url, first, number, load = arguments.simulate
        simulate(url, int(first), int(number), Load(**json.loads(load)))
        return
    ours = [f"worker: {kind}/h" for kind in REQUESTS] + [f"trainer: {kind}/h" for kind in REQUESTS]
    header = ["workers", *ours, "matches/s taken in", "pick-up, median / worst (s)"]
    load = Load()
    print(f"Requests to a bucket, matches of each worker every {load.file_seconds:.0f} s, "
          f"a checkpoint every {load.checkpoint_seconds:.0f} s\n")  # fmt: skip
    print(table(header, [count(workers, arguments.count_seconds) for workers in arguments.workers]))
    if arguments.count:
        return
    if missing := missing_programs(arguments.s3):
        print(f"skipped: {' and '.join(missing)} is not installed")
        return
    folder = Path(tempfile.mkdtemp(prefix="selfplay-stores-"))
    rows, joins = [], []
    try:
        with store_servers(folder, arguments.s3) as roots:
            for kind in arguments.store:
                for workers in arguments.workers:
                    row = at_work(f"{roots[kind]}/{kind}{workers}", workers, arguments.seconds)
                    rows.append([kind, *row])
                    print(f"{kind}, {workers} workers: done", file=sys.stderr)
                joins.append([kind, *join(f"{roots[kind]}/{kind}-many", arguments.files)])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{os.cpu_count()} CPU cores; files of {load.file_bytes / 1e3:.0f} kB, weights of "
          f"{4 * load.weights / 1e6:.1f} MB; S3 server: {arguments.s3}\n")  # fmt: skip
    header = ["store", "workers", "uploads/s at most", "MB/s at most", "matches/s taken in at most"]
    header += ["matches/s taken in as usual", "files left then", "pick-up, median / worst (s)"]
    print(table(header, rows))
    print(f"\nA run with {arguments.files:,} files of matches (seconds)\n")
    header = ["store", "a worker comes back", "a new worker joins", "first look of a trainer"]
    print(table([*header, "later look", "list everything"], joins))


if __name__ == "__main__":
    main()
