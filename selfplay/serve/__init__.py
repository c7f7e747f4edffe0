"""The web board and the HTTP API: people play, analyse positions and watch runs."""

from selfplay.serve.app import create_app
from selfplay.serve.library import Library, Limits
from selfplay.serve.server import open_port, run_server

__all__ = ["Library", "Limits", "create_app", "open_port", "run_server"]
