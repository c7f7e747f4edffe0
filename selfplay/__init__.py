"""selfplay: bring the rules of a two-player game, get an agent that plays it.

The names below are the public ones; everything else may change without notice. See
docs/library.md for a script that uses most of them.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfplay.adapters import PythonChanceGame, PythonGame
    from selfplay.arena import MatchTable, play_matches
    from selfplay.arena import parse_agent as make_agent
    from selfplay.check import CheckReport, check_game
    from selfplay.errors import SelfplayError
    from selfplay.game import BoardView, ChanceGame, Game, Position, Solution, Symmetry, pytree
    from selfplay.learner import Learner
    from selfplay.networks import Network, NetworkConfig, Prediction
    from selfplay.networks import build as build_network
    from selfplay.processes.loop import train
    from selfplay.processes.parts import Parts, make_parts
    from selfplay.records import MatchRecord, read_matches
    from selfplay.registry import GameSpec, game_names, make
    from selfplay.replay import ReplayWindow
    from selfplay.rollout import SelfPlayer
    from selfplay.run import Config, RunDirectory, load_config
    from selfplay.search import (
        Evaluation,
        Evaluator,
        SearchConfig,
        Searcher,
        SearchResult,
        network_evaluator,
        search,
    )
    from selfplay.startup import prepare

    __version__: str

__all__ = [
    "BoardView",
    "ChanceGame",
    "CheckReport",
    "Config",
    "Evaluation",
    "Evaluator",
    "Game",
    "GameSpec",
    "Learner",
    "MatchRecord",
    "MatchTable",
    "Network",
    "NetworkConfig",
    "Parts",
    "Position",
    "Prediction",
    "PythonChanceGame",
    "PythonGame",
    "ReplayWindow",
    "RunDirectory",
    "SearchConfig",
    "SearchResult",
    "Searcher",
    "SelfPlayer",
    "SelfplayError",
    "Solution",
    "Symmetry",
    "build_network",
    "check_game",
    "game_names",
    "load_config",
    "make",
    "make_agent",
    "make_parts",
    "network_evaluator",
    "play_matches",
    "prepare",
    "pytree",
    "read_matches",
    "search",
    "train",
]

# JAX takes a second to import: a name is fetched when it is first asked for, so that the command
# line can answer `--help` at once.
_HOMES = {
    "adapters": "PythonChanceGame PythonGame",
    "arena": "MatchTable make_agent=parse_agent play_matches",
    "check": "CheckReport check_game",
    "errors": "SelfplayError",
    "game": "BoardView ChanceGame Game Position Solution Symmetry pytree",
    "learner": "Learner",
    "networks": "Network NetworkConfig Prediction build_network=build",
    "processes.loop": "train",
    "processes.parts": "Parts make_parts",
    "records": "MatchRecord read_matches",
    "registry": "GameSpec game_names make",
    "replay": "ReplayWindow",
    "rollout": "SelfPlayer",
    "run": "Config RunDirectory load_config",
    "search": "Evaluation Evaluator SearchConfig SearchResult Searcher network_evaluator search",
    "startup": "prepare",
}
_SOURCES = {
    name.partition("=")[0]: (f"selfplay.{module}", name.rpartition("=")[2])
    for module, names in _HOMES.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    """Returns a public name, importing what it takes."""
    if name == "__version__":
        from importlib.metadata import version

        return version("selfplay-jax")
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _SOURCES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    """Returns the public names and what is loaded."""
    return sorted({*globals(), *__all__, "__version__"})


class _Package(types.ModuleType):
    """Keeps `selfplay.search` the function: importing the package of that name would hide it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _SOURCES and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
