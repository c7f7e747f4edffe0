"""selfplay: bring the rules of a two-player game, get an agent that plays it.

The names below are the public ones; everything else may change without notice. See
docs/library.md for a script that uses most of them.
"""

import importlib.metadata

from selfplay.arena import MatchTable, play_matches
from selfplay.arena import parse_agent as make_agent
from selfplay.errors import SelfplayError
from selfplay.game import BoardView, Game, Position, Solution, Symmetry, pytree
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

__version__ = importlib.metadata.version("selfplay-jax")

__all__ = [
    "BoardView",
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
