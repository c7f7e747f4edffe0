"""Checks that a user can run on a game and on the search.

In: a game, and what its author says of it. Out: faults with advice, warnings and measures.
"""

from selfplay.check.comparison.compare import Comparison as Comparison
from selfplay.check.comparison.compare import compare as compare
from selfplay.check.conformance import check_game as check_game
from selfplay.check.conformance import examine as examine
from selfplay.check.report import CheckReport as CheckReport
from selfplay.check.report import Fault as Fault
from selfplay.check.solved.brute_force import BruteForce as BruteForce
from selfplay.check.solved.known_answers import Problem as Problem
from selfplay.check.solved.known_answers import ProblemSet as ProblemSet
from selfplay.check.solved.known_answers import SearchAnswer as SearchAnswer
from selfplay.check.solved.known_answers import known_answers as known_answers
