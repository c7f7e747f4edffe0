"""Games that are not written in JAX: plain Python, pgx, OpenSpiel. Host code."""

from selfplay.adapters.hosted import HostedGame, host
from selfplay.adapters.python_game import PythonChanceGame, PythonGame

__all__ = ["HostedGame", "PythonChanceGame", "PythonGame", "host"]
