"""A server in a thread, for pages."""

import threading
from collections.abc import Iterator
from typing import Any

from selfplay.registry import GameSpec
from selfplay.serve import Library, Limits, create_app
from selfplay.serve.server import address, open_port, run_server


def serve(games: dict[str, GameSpec], runs: list[str], *, simulations: int = 64) -> Iterator[str]:
    """Serves in a thread; yields the address."""
    limits = Limits(simulations=simulations, milliseconds=2000)
    library = Library(games=list(games.items()), runs=runs, limits=limits)
    listening = open_port("127.0.0.1", 0)
    url = address(listening, "127.0.0.1")
    stops: list[Any] = []
    server = threading.Thread(
        target=run_server,
        args=(create_app(library, hosts=None), listening),
        kwargs={"on_start": stops.append},
    )
    server.start()
    try:
        yield url
    finally:
        stops[0]()
        server.join(timeout=30)
