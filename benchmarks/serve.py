"""Measures `selfplay serve`: start, moves, weight of the page, many matches, memory.

    python benchmarks/serve.py [--matches N] [--minutes M] [--only-memory] [--json]

All on 127.0.0.1, clients and server on the same machine. The game is Connect Four; the run that is
served has the default network, not trained, which costs what a trained one does. A page is
playable when it, its files and the first position have been answered; the first move has as many
simulations as the run's settings say, as the page asks for it. For the memory, 16 visitors ask for
one analysis after the other, of random positions, and between them one visitor uses everything
else: other numbers of simulations, other agents, search trees, lists of matches, the training page.
serve_load.py counts requests. Prints a table for docs/benchmarks.md, or with --json one object.
The figures there are of --matches 1000000 --minutes 60.
"""

import argparse
import asyncio
import gzip
import json
import os
import random
import runpy
import statistics
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.serving import Server, make_run, origin, say, visitors

_ROOT = Path(__file__).parents[1]
_MOVE_SIMULATIONS = 200
_MOVES = 40
_IN_FILE = 100


def measure_memory(matches: int, minutes: float) -> dict[str, Any]:
    """Returns the memory of a server while visitors come and go."""
    with tempfile.TemporaryDirectory() as directory:
        say("making a run")
        run = make_run(Path(directory) / "connect_four")
        many(run, matches)
        with Server(run, Path(directory) / "cache", sizes=None) as server:
            say("memory")
            return {"memory": memory(server, minutes)}


def measure(matches: int, minutes: float) -> dict[str, Any]:
    """Returns all figures."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        cache = root / "cache"
        say("making a run")
        run = make_run(root / "connect_four")
        say("starting, cold and warm")
        found: dict[str, Any] = {
            "cores": len(os.sched_getaffinity(0)),
            "start": {"cold": playable(run, cache), "warm": playable(run, cache)},
            "page": page_weight(),
        }
        say("many matches")
        many(run, matches)
        with Server(run, cache, sizes=None) as server:
            found["matches"] = first_pages(server, matches)
        with Server(run, cache, sizes=None) as server:
            say("moves")
            found["move"] = move_latency(server)
            say("memory")
            found["memory"] = memory(server, minutes)
    return found


def table(found: dict[str, Any]) -> str:
    """Returns the figures as Markdown."""
    head = [origin(), "", "| figure | |", "| --- | --- |"]
    if "start" not in found:
        return "\n".join([*head, *memory_rows(found["memory"])])
    start, move, page, pages = (found[key] for key in ("start", "move", "page", "matches"))
    figures = [
        ("command to a page to play on, nothing compiled", start["cold"], "page_seconds"),
        ("the same, everything compiled before", start["warm"], "page_seconds"),
        ("command to the answer of the first move, nothing compiled", start["cold"],
         "first_move_seconds"),
        ("the same, everything compiled before", start["warm"], "first_move_seconds"),
        (f"a move of {move['simulations']} simulations, median", move, "median_seconds"),
        ("the same, slowest of " + str(_MOVES), move, "worst_seconds"),
        (f"first page of {pages['matches']:,} matches", pages, "first_page_seconds"),
        ("first page of those that fit a filter", pages, "filtered_page_seconds"),
        ("a page of a filter that nothing fits", pages, "page_that_finds_nothing_seconds"),
        ("until all matches are counted", pages, "counted_after_seconds"),
    ]  # fmt: skip
    lines = head
    lines += [f"| {name} | {values[key]} s |" for name, values, key in figures]
    lines += [
        f"| weight of the page | {page['compressed_bytes'] / 1000:.0f} kB in {page['files']} "
        f"files, as the server sends them; {page['bytes'] / 1000:.0f} kB uncompressed |",
    ]
    return "\n".join([*lines, *memory_rows(found["memory"])])


def memory_rows(memory: dict[str, Any]) -> list[str]:
    """Returns the rows of the table about memory."""
    samples = [(minute, round(size / 1e6)) for minute, size in memory["samples"]]
    settled = [size for minute, size in samples if minute >= memory["minutes"] / 4]
    return [
        f"| memory of the server before visitors came | {samples[0][1]} MB |",
        f"| after a quarter of {memory['minutes']:g} minutes of visitors, and at their end | "
        f"{settled[0]} MB, {settled[-1]} MB |",
        f"| most during that time; requests of that time | {max(size for _, size in samples)} MB; "
        f"{memory['requests']:,} |",
    ]


def playable(run: Path, cache: Path) -> dict[str, float]:
    """Returns seconds from the command to a playable page, and to the first move."""
    with Server(run, cache, sizes=None) as server:
        server.ask("/")
        for entry in resources.files("selfplay.serve").joinpath("static").iterdir():
            if entry.name.endswith((".js", ".css")):
                server.ask(f"/static/{entry.name}")
        server.ask("/api/v1/about")
        server.ask("/api/v1/position", {"moves": []})
        page = time.monotonic() - server.began
        server.ask("/api/v1/move", {"moves": [3]})
        return {
            "page_seconds": round(page, 2),
            "first_move_seconds": round(time.monotonic() - server.began, 2),
        }


def page_weight() -> dict[str, int]:
    """Returns the bytes of the page and its files."""
    files = [
        entry
        for entry in resources.files("selfplay.serve").joinpath("static").iterdir()
        if entry.name.endswith((".html", ".js", ".css", ".svg"))
    ]
    data = [entry.read_bytes() for entry in files]
    return {
        "files": len(files),
        "bytes": sum(map(len, data)),
        "compressed_bytes": sum(len(gzip.compress(one)) for one in data),
    }


def move_latency(server: Server) -> dict[str, float]:
    """Returns how long one visitor waits for a move."""
    chance = random.Random(0)
    line: list[int] = []
    taken = []
    for number in range(_MOVES + 1):
        position = server.ask("/api/v1/position", {"moves": line})
        if len(position["legal"]) < 2 or len(line) > 20:
            line, position = [], server.ask("/api/v1/position", {"moves": []})
        line = [*line, chance.choice(position["legal"])["action"]]
        if server.ask("/api/v1/position", {"moves": line})["over"]:
            line = [3]
        begin = time.monotonic()
        answer = server.ask("/api/v1/move", {"moves": line, "simulations": _MOVE_SIMULATIONS})
        if number:  # The first one is compiled.
            taken.append(time.monotonic() - begin)
        line = answer["position"]["moves"]
        if answer["position"]["over"]:
            line = []
    return {
        "simulations": _MOVE_SIMULATIONS,
        "median_seconds": round(statistics.median(taken), 4),
        "worst_seconds": round(max(taken), 4),
    }


def memory(server: Server, minutes: float) -> dict[str, Any]:
    """Returns the memory of the server while visitors come and go: minutes and bytes."""
    samples = [(0.0, server.memory_bytes)]
    begin = time.monotonic()
    requests = number = 0
    while (minute := (time.monotonic() - begin) / 60) < minutes:
        taken, _ = asyncio.run(visitors(server.port, 16, 10.0, seed=100 + number))
        requests += len(taken) + tour(server, number)
        samples.append((round(minute, 2), server.memory_bytes))
        number += 1
    return {"minutes": minutes, "requests": requests, "samples": samples}


def tour(server: Server, number: int) -> int:
    """Lets one visitor use what the others do not; returns the number of requests.

    Args:
        server: the server.
        number: of the tour; each asks for other searches.
    """
    run = "/api/v1/runs/connect_four"
    agent = f"mcts:{2 + number % 60}"
    simulations = (2, 8, 16, 32, 100, 128, 200, 256, 400, 512, 800, 1024)[number % 12]
    moves = [number % 7, number // 7 % 7, number // 49 % 7]
    position = {"moves": moves}
    asked: list[tuple[str, Any]] = [
        ("/", None),
        ("/api/v1/about", None),
        ("/api/v1/games/connect_four/agents", None),
        ("/api/v1/position", position),
        ("/api/v1/move", position),
        ("/api/v1/analyze", {**position, "simulations": simulations, "tree": 4, "seed": number}),
        ("/api/v1/move", {**position, "agent": agent}),
        (f"{run}/matches?limit=200", None),
        (f"{run}/matches?limit=200&result=first&min_plies={number % 40}", None),
        (f"{run}/training", None),
        (f"{run}/status", None),
    ]
    for path, body in asked:
        server.ask(path, body)
    return len(asked)


def many(run: Path, matches: int) -> None:
    """Fills a run with so many matches: copies of one file."""
    import dataclasses

    from selfplay.records import encode_matches
    from selfplay.registry import make

    # By its path: other packages install a `tests` of their own.
    examples = runpy.run_path(str(_ROOT / "tests" / "records" / "examples.py"))
    played = examples["RandomMatches"](make("connect_four"))
    rows = [
        dataclasses.replace(
            played.play(seed=index).record,
            match_id=f"a-00000000-{index:04d}",
            worker="a",
            first_checkpoint=1,
            last_checkpoint=1,
        )
        for index in range(_IN_FILE)
    ]
    data = encode_matches(rows)
    folder = run / "matches" / "a"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(matches // _IN_FILE):
        (folder / f"{number:08d}.parquet").write_bytes(data)


def first_pages(server: Server, matches: int) -> dict[str, Any]:
    """Returns how long pages of a run with many matches take."""

    def seconds(query: str) -> float:
        begin = time.monotonic()
        server.ask(f"/api/v1/runs/connect_four/matches?{query}")
        return round(time.monotonic() - begin, 3)

    found = {
        "matches": matches,
        "first_page_seconds": seconds("limit=50"),
        "filtered_page_seconds": seconds("limit=50&result=first&min_plies=30"),
        "page_that_finds_nothing_seconds": seconds("limit=50&first_checkpoint=5"),
    }
    begin = time.monotonic()
    while server.ask("/api/v1/runs/connect_four/matches?limit=1")["total"] is None:
        time.sleep(0.2)
    return {**found, "counted_after_seconds": round(time.monotonic() - begin, 1)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--matches", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=0.2, help="of visitors, for the memory")
    parser.add_argument("--only-memory", action="store_true", help="measure nothing else")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    chosen = measure_memory if arguments.only_memory else measure
    figures = chosen(arguments.matches, arguments.minutes)
    print(json.dumps(figures, indent=1) if arguments.json else table(figures))
