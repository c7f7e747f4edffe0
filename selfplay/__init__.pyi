from .adapters import PythonChanceGame as PythonChanceGame
from .adapters import PythonGame as PythonGame
from .arena import MatchTable as MatchTable
from .arena import make_agent as make_agent
from .arena import play_matches as play_matches
from .arena.searcher import Searcher as Searcher
from .check import CheckReport as CheckReport
from .check import check_game as check_game
from .errors import SelfplayError as SelfplayError
from .game import (
    BoardView as BoardView,
)
from .game import (
    ChanceGame as ChanceGame,
)
from .game import (
    EngineSetup as EngineSetup,
)
from .game import (
    Game as Game,
)
from .game import (
    GridTurn as GridTurn,
)
from .game import (
    Position as Position,
)
from .game import (
    Solution as Solution,
)
from .game import (
    Symmetry as Symmetry,
)
from .game import (
    grid_symmetries as grid_symmetries,
)
from .game import (
    pytree as pytree,
)
from .learner import Learner as Learner
from .mcts import (
    Evaluation as Evaluation,
)
from .mcts import (
    Evaluator as Evaluator,
)
from .mcts import (
    SearchResult as SearchResult,
)
from .mcts import (
    network_evaluator as network_evaluator,
)
from .mcts import (
    search as search,
)
from .networks import Network as Network
from .networks import Prediction as Prediction
from .networks import build_network as build_network
from .records import MatchRecord as MatchRecord
from .records import read_matches as read_matches
from .registry import GameSpec as GameSpec
from .registry import game_names as game_names
from .registry import make as make
from .replay import ReplayWindow as ReplayWindow
from .rollout import SelfPlayer as SelfPlayer
from .run import RunDirectory as RunDirectory
from .runtime.components import Components as Components
from .runtime.components import make_components as make_components
from .settings import Config as Config
from .settings import NetworkConfig as NetworkConfig
from .settings import SearchConfig as SearchConfig
from .settings import load_config as load_config
from .startup import prepare as prepare
from .training.trainer import train as train
