"""Adapters: games in plain Python, pgx or OpenSpiel become games in JAX. Host code.

In: a game of another kind. Out: a `Game`, whose rules compiled programs call back on the host.
"""

from selfplay.adapters.hosted import HostedGame, host
from selfplay.adapters.python_game import PythonChanceGame, PythonGame

__all__ = ["HostedGame", "PythonChanceGame", "PythonGame", "host"]
