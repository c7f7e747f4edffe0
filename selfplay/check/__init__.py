"""Checks that a user can run: the rules of a game, and the known-answer suite of the search."""

from selfplay.check.brute_force import BruteForce as BruteForce
from selfplay.check.compare import Comparison as Comparison
from selfplay.check.compare import compare as compare
from selfplay.check.conformance import check_game as check_game
from selfplay.check.conformance import examine as examine
from selfplay.check.faults import CheckReport as CheckReport
from selfplay.check.faults import Fault as Fault
from selfplay.check.known_answers import Answer as Answer
from selfplay.check.known_answers import Problem as Problem
from selfplay.check.known_answers import ProblemSet as ProblemSet
from selfplay.check.known_answers import known_answers as known_answers
