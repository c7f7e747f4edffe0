"""Arena: agents play matches against each other.

In: agents, a game, openings. Out: moves, results, and scores with their uncertainty.
"""

from selfplay.arena.agents import (
    Agent,
    Analysis,
    Analyst,
    HistoryAgent,
    MoveHistory,
    RandomAgent,
    SearchAgent,
    SolverAgent,
    analyse_one,
    mcts_agent,
)
from selfplay.arena.engines import EngineAgent, EngineSpec, is_engine, parse_engine
from selfplay.arena.live import LiveMatch, play_text
from selfplay.arena.mistakes import (
    Choices,
    Mistake,
    MistakeCount,
    MistakeTable,
    choose_moves,
    measure_mistakes,
)
from selfplay.arena.openings import (
    Opening,
    OpeningSet,
    default_opening_plies,
    random_openings,
)
from selfplay.arena.paired_matches import Standing, play_matches
from selfplay.arena.parsing import checkpoint_agents, load_run_agent, make_agent, parse_opponent
from selfplay.arena.rating.sequential import SequentialTest, sequential_test
from selfplay.arena.solved import SolvedPositions, has_solver, solve_positions
from selfplay.arena.statistics import (
    Interval,
    elo_from_score,
    result_interval,
    score_interval,
    wilson_interval,
)
from selfplay.arena.stored import StoredNetwork, load_network, load_weights
from selfplay.arena.suite_file import Suite, SuitePosition, read_suite, suite_of
from selfplay.arena.suites import SuiteAnswer, SuiteResult, ask_suite
from selfplay.arena.table import Match, MatchTable

__all__ = [
    "Agent",
    "Analysis",
    "Analyst",
    "Choices",
    "EngineAgent",
    "EngineSpec",
    "HistoryAgent",
    "Interval",
    "LiveMatch",
    "MoveHistory",
    "Match",
    "MatchTable",
    "Mistake",
    "MistakeCount",
    "MistakeTable",
    "Opening",
    "OpeningSet",
    "RandomAgent",
    "SearchAgent",
    "SequentialTest",
    "SolvedPositions",
    "SolverAgent",
    "Standing",
    "StoredNetwork",
    "Suite",
    "SuiteAnswer",
    "SuitePosition",
    "SuiteResult",
    "analyse_one",
    "ask_suite",
    "checkpoint_agents",
    "choose_moves",
    "default_opening_plies",
    "elo_from_score",
    "has_solver",
    "is_engine",
    "load_network",
    "load_run_agent",
    "load_weights",
    "mcts_agent",
    "measure_mistakes",
    "make_agent",
    "parse_engine",
    "parse_opponent",
    "play_matches",
    "play_text",
    "random_openings",
    "read_suite",
    "result_interval",
    "score_interval",
    "sequential_test",
    "solve_positions",
    "suite_of",
    "wilson_interval",
]
