"""Tree search: positions in, better policies, values and moves out. Pure."""

from selfplay.search.config import SearchConfig as SearchConfig
from selfplay.search.evaluation import Evaluation as Evaluation
from selfplay.search.evaluation import Evaluator as Evaluator
from selfplay.search.evaluation import network_evaluator as network_evaluator
from selfplay.search.evaluation import random_legal_action as random_legal_action
from selfplay.search.evaluation import random_playout_evaluator as random_playout_evaluator
from selfplay.search.evaluation import uniform_evaluator as uniform_evaluator
from selfplay.search.search import SearchResult as SearchResult
from selfplay.search.search import search as search
from selfplay.search.searcher import Searcher as Searcher
