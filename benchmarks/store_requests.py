"""What one request to a store costs the process that asks: milliseconds, and CPU time of them.

    python benchmarks/store_requests.py                          in short, as a Markdown table
    python benchmarks/store_requests.py --requests 300 --s3 ceph

One request after another, from one thread. The servers run on this machine; their CPU time is not
counted. It needs what `benchmarks/stores.py` needs.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common.servers import KINDS, S3_SERVERS, missing_programs, store_servers
from selfplay.store import open_store

BLOB_BYTES = 20_000
SHORT = ("--requests", "20")
"""The arguments where none are given."""


def measure(request: Callable[[int], object], count: int) -> str:
    """Returns the milliseconds of a request, and the CPU time of this process in it."""
    # The first one connects.
    request(count)
    begin, cpu = time.perf_counter(), time.process_time()
    for number in range(count):
        request(number)
    wall = (time.perf_counter() - begin) / count
    return f"{1e3 * wall:.2f} / {1e3 * (time.process_time() - cpu) / count:.2f}"


def row(kind: str, url: str, count: int) -> list[str]:
    """Returns the row of one kind of store."""
    store = open_store(url)
    data = bytes(range(256)) * (BLOB_BYTES // 256)
    return [
        kind,
        measure(lambda number: store.write(f"a/{number}", data), count),
        measure(lambda number: store.write_new(f"b/{number}", data), count),
        measure(lambda number: store.read(f"a/{number}"), count),
        measure(lambda number: store.entry(f"a/{number}"), count),
        measure(lambda number: store.entry(f"c/{number}"), count),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=300, help="of each kind")
    parser.add_argument("--store", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--s3", choices=S3_SERVERS, default="moto", help="server of the bucket")
    arguments = parser.parse_args(sys.argv[1:] or SHORT)
    if missing := missing_programs(arguments.s3):
        print(f"skipped: {' and '.join(missing)} is not installed")
        return
    scratch = Path(tempfile.mkdtemp(prefix="selfplay-requests-"))
    try:
        with store_servers(scratch, arguments.s3) as roots:
            rows = [row(kind, f"{roots[kind]}/run", arguments.requests) for kind in arguments.store]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"Milliseconds of a request, and CPU time of it in the process that asks; blobs of "
          f"{BLOB_BYTES / 1e3:.0f} kB; S3 server: {arguments.s3}\n")  # fmt: skip
    header = [
        "store",
        "write",
        "write a new one",
        "read",
        "ask for one",
        "for one that is not there",
    ]
    print("\n".join(f"| {' | '.join(line)} |" for line in [header, ["---"] * len(header), *rows]))


if __name__ == "__main__":
    main()
