"""Tree search: positions in, better policies, values and moves out. Pure."""

from selfplay.mcts.evaluation import Evaluation as Evaluation
from selfplay.mcts.evaluation import Evaluator as Evaluator
from selfplay.mcts.evaluation import network_evaluator as network_evaluator
from selfplay.mcts.evaluation import random_playout_evaluator as random_playout_evaluator
from selfplay.mcts.evaluation import uniform_evaluator as uniform_evaluator
from selfplay.mcts.search import SearchResult as SearchResult
from selfplay.mcts.search import policy_surprise as policy_surprise
from selfplay.mcts.search import search as search
from selfplay.mcts.search import search_with_sides as search_with_sides
from selfplay.mcts.search import search_with_tree as search_with_tree
from selfplay.mcts.side_positions import SidePositions as SidePositions
from selfplay.mcts.tree import SearchTree as SearchTree
