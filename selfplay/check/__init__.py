"""Checks that a user can run on a game and on the search.

In: a game, and what its author says of it. Out: faults with advice, warnings and measures.
"""

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
