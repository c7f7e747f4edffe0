"""What the weights of a checkpoint cost a node that runs several workers: bytes and seconds.

    python benchmarks/node_weights.py                                in short, as a Markdown table
    python benchmarks/node_weights.py --megabytes 100 --processes 8 --s3 ceph

Processes of this machine load one new checkpoint at the same time, with the code of real workers:
once with the folder that they share (`$SELFPLAY_CACHE`), once with a folder for each. Redis and the
S3 server run on this machine too, so the seconds are those of the programs, not of a network; the
bytes are what a network would carry. It needs what `benchmarks/stores.py` needs.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common.fleet import Load, create, network
from benchmarks.common.servers import S3_SERVERS, missing_programs, store_servers
from selfplay.run import RunDirectory
from selfplay.workers.trainer_watch import load_published

SHORT = ("--megabytes", "10", "--processes", "4")
"""The arguments where none are given."""


def load(url: str) -> None:
    """Is one process of the node: loads the checkpoint when told to; reports seconds and bytes."""
    run = RunDirectory.open(url)
    network()
    read = run.store.read
    fetched = 0

    def counted(name: str) -> bytes:
        nonlocal fetched
        data = read(name)
        fetched += len(data)
        return data

    run.store.read = counted  # type: ignore[method-assign]
    print("ready", flush=True)
    sys.stdin.readline()
    begin = time.monotonic()
    load_published(run, 0, network())
    print(json.dumps([time.monotonic() - begin, fetched]), flush=True)


def measure(url: str, processes: int, folder: Path, *, shared: bool) -> list[str]:
    """Returns one row: megabytes from the store, seconds of the median process and of the last."""
    crew = []
    for number in range(processes):
        cache = folder / ("shared" if shared else f"own{number}")
        crew.append(
            subprocess.Popen(
                [sys.executable, __file__, "--load", url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "SELFPLAY_CACHE": str(cache)},
            )
        )
    try:
        for one in crew:
            if one.stdout is None or not one.stdout.readline():
                raise RuntimeError("a process of the node has ended")
        for one in crew:
            if one.stdin is not None:
                one.stdin.write("\n")
                one.stdin.flush()
        answers = [json.loads(one.communicate()[0]) for one in crew]
    finally:
        for one in crew:
            one.kill()
            one.communicate()
        shutil.rmtree(folder, ignore_errors=True)
    seconds, fetched = zip(*answers, strict=True)
    return [
        "shared" if shared else "of its own",
        f"{sum(fetched) / 1e6:.1f}",
        f"{statistics.median(seconds):.1f}",
        f"{max(seconds):.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--megabytes", type=float, default=100.0, help="of the weights")
    parser.add_argument("--processes", type=int, default=8, help="of the node")
    parser.add_argument("--s3", choices=S3_SERVERS, default="moto", help="server of the bucket")
    arguments = parser.parse_args(sys.argv[1:] or SHORT)
    if arguments.load:
        load(arguments.load)
        return
    if missing := missing_programs(arguments.s3):
        print(f"skipped: {' and '.join(missing)} is not installed")
        return
    scratch = Path(tempfile.mkdtemp(prefix="selfplay-node-"))
    rows = []
    try:
        with store_servers(scratch, arguments.s3) as roots:
            for kind in ("bucket", "redis"):
                url = f"{roots[kind]}/weights"
                create(url, Load(weights=int(arguments.megabytes * 1e6 / 4)))
                for shared in (True, False):
                    row = measure(url, arguments.processes, scratch / "caches", shared=shared)
                    rows.append([kind, *row])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{arguments.processes} processes, weights of {arguments.megabytes:.0f} MB; "
          f"{os.cpu_count()} CPU cores; S3 server: {arguments.s3}\n")  # fmt: skip
    header = ["store", "folder", "MB from the store", "seconds, median", "last"]
    lines = [header, ["---"] * len(header), *rows]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    main()
