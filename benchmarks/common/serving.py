"""A server of a run for measurements, and visitors who ask it for analyses."""

import asyncio
import datetime
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

LOAD_SIMULATIONS = 64
_JSON = {"Content-Type": "application/json"}

# The server with another list of batch sizes, and room for all clients of the load.
_SERVER = """
import sys
from selfplay import startup
startup.prepare()
from selfplay.serve import Library, create_app, open_port, run_server
from selfplay.serve.analysis.searches import Searches
sizes = tuple(map(int, sys.argv[2].split(",")))
listening = open_port("127.0.0.1", 0)
app = create_app(Library(runs=[sys.argv[1]]), searches=Searches(sizes=sizes, most_waiting=10**6))
def started(stop):
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
run_server(app, listening, on_start=started)
"""


class Server:
    """A server in a process of its own."""

    def __init__(self, run: Path, cache: Path, *, sizes: str | None) -> None:
        """Starts it: with these batch sizes, or as the command does where there are none."""
        words = ["-m", "selfplay", "serve", str(run), "--port", "0"]
        if sizes is not None:
            words = ["-c", _SERVER, str(run), sizes]
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)}
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, *words], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        if address is None:
            raise SystemExit(f"the server did not start: {line}")
        self.port = int(address[1])

    def __enter__(self) -> "Server":
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def ask(self, path: str, body: Any = None) -> Any:
        """Returns what it answers."""
        data = None if body is None else json.dumps(body).encode()
        address = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(
            urllib.request.Request(address, data, _JSON), timeout=600
        ) as answer:
            text = answer.read()
        return json.loads(text) if text[:1] in b"[{" else text

    @property
    def memory_bytes(self) -> int:
        """Memory that it holds now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return 0 if found is None else 1024 * int(found[1])


def make_run(place: Path) -> Path:
    """Returns a run with one checkpoint of an untrained network."""
    import jax

    from selfplay.networks import build_network
    from selfplay.registry import GameSpec, make
    from selfplay.run import RunDirectory
    from selfplay.settings import Config

    game, config = make("connect_four"), Config()
    run = RunDirectory.create(place, GameSpec("connect_four"), game, config)
    weights = build_network(game, config.network).init(key=jax.random.key(0))
    run.checkpoints.save(1, {"weights": weights}, metadata={})
    return place


async def visitors(
    port: int, clients: int, seconds: float, *, seed: int
) -> tuple[list[float], float]:
    """Returns the latency of every request of some visitors, and the seconds they took."""
    taken: list[float] = []
    begin = time.monotonic()

    async def visit(number: int) -> None:
        chance = random.Random(1000 * seed + number)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() - begin < seconds:
            # Five moves in a row end no match and fill no column.
            moves = [chance.randrange(7) for _ in range(chance.randrange(6))]
            body = json.dumps({"moves": moves, "simulations": LOAD_SIMULATIONS}).encode()
            head = (
                "POST /api/v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            asked = time.monotonic()
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", answer)
            assert length is not None
            data = await reader.readexactly(int(length[1]))
            assert answer.startswith(b"HTTP/1.1 200"), data
            taken.append(time.monotonic() - asked)
        writer.close()

    await asyncio.gather(*(visit(number) for number in range(clients)))
    return taken, time.monotonic() - begin


def origin() -> str:
    """Returns the line above a table: when and how its figures were measured."""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    day, cores = datetime.date.today().isoformat(), len(os.sched_getaffinity(0))
    return f"Measured on {day}; command: `{command}`; {cores} cores; one run."


def say(text: str) -> None:
    """Says on stderr what comes next."""
    print(text, file=sys.stderr, flush=True)
