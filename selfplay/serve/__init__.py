"""The web board and the HTTP API: games to play, positions to ask about, runs to look at."""

from selfplay.serve.app import create_app
from selfplay.serve.library import Library, Limits
from selfplay.serve.server import open_port, run_server

__all__ = ["Library", "Limits", "create_app", "open_port", "run_server"]
