"""Agents, openings and matches between agents, with honest statistics."""

from selfplay.arena.agents import (
    Agent,
    Analysis,
    Analyst,
    RandomAgent,
    SearchAgent,
    SolverAgent,
    analyse_one,
    mcts_agent,
)
from selfplay.arena.matches import Match, MatchTable, play_matches
from selfplay.arena.openings import Opening, OpeningSet, random_openings
from selfplay.arena.parsing import load_run_agent, load_weights, parse_agent
from selfplay.arena.statistics import Interval, elo_from_score, score_interval, wilson_interval

__all__ = [
    "Agent",
    "Analysis",
    "Analyst",
    "Interval",
    "Match",
    "MatchTable",
    "Opening",
    "OpeningSet",
    "RandomAgent",
    "SearchAgent",
    "SolverAgent",
    "analyse_one",
    "elo_from_score",
    "load_run_agent",
    "load_weights",
    "mcts_agent",
    "parse_agent",
    "play_matches",
    "random_openings",
    "score_interval",
    "wilson_interval",
]
