"""Measures how many analyses `selfplay serve` gives to many clients, with batching and without.

    python benchmarks/serve_load.py [--seconds S] [--clients N ...] [--json]

On 127.0.0.1, clients and server on the same machine, as in serve.py: each client asks for one
analysis after the other, of random positions of Connect Four, and the network is the default one,
not trained. Without batching the server searches one position after the other; with it those that
wait together, unless it finds that this is slower. Prints a table for docs/benchmarks.md, or with
--json one object. The figures there are of --seconds 10, which takes about three minutes.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.serving import LOAD_SIMULATIONS, Server, make_run, origin, say, visitors

_CLIENTS = (1, 8, 64, 256)


def measure(seconds: float, clients: list[int]) -> dict[str, Any]:
    """Returns the rows of the table, one for each number of clients, by whether there are batches.

    Args:
        seconds: of each measurement.
        clients: how many ask at once.
    """
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        say("making a run")
        run = make_run(root / "connect_four")
        for name, sizes in (("one_at_a_time", "1"), ("together", "1,8,32")):
            with Server(run, root / "cache", sizes=sizes) as server:
                say(f"load, searches {name.replace('_', ' ')}")
                found[name] = load(server, seconds, clients)
    return found


def table(found: dict[str, Any]) -> str:
    """Returns the figures as Markdown."""
    keys = ("requests_per_second", "median_seconds", "p99_seconds")
    titles = [f"{name.replace('_', ' ')}: requests/s | median | 99th" for name in found]
    lines = [
        f"{origin()} Each request is for {LOAD_SIMULATIONS} simulations.",
        "",
        f"| clients | {' | '.join(titles)} |",
        "| --- " * 7 + "|",
    ]
    for rows in zip(*found.values(), strict=True):
        shown = [f"{row[key]}{'' if key == keys[0] else ' s'}" for row in rows for key in keys]
        lines.append(f"| {rows[0]['clients']} | {' | '.join(shown)} |")
    return "\n".join(lines)


def load(server: Server, seconds: float, numbers: list[int]) -> list[dict[str, Any]]:
    """Returns requests per second and latency for several numbers of clients."""
    rows = []
    for clients in numbers:
        # The batches are compiled when they are first wanted: not part of what is measured.
        asyncio.run(visitors(server.port, clients, min(seconds, 2.0), seed=1))
        time.sleep(2)
        taken, elapsed = asyncio.run(visitors(server.port, clients, seconds, seed=3))
        taken.sort()
        rows.append(
            {
                "clients": clients,
                "simulations": LOAD_SIMULATIONS,
                "requests_per_second": round(len(taken) / elapsed, 1),
                "median_seconds": round(statistics.median(taken), 4),
                "p99_seconds": round(taken[int(0.99 * (len(taken) - 1))], 4),
            }
        )
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    parser.add_argument("--clients", type=int, nargs="+", default=list(_CLIENTS))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    figures = measure(arguments.seconds, arguments.clients)
    print(json.dumps(figures, indent=1) if arguments.json else table(figures))
