"""Checks that a user can run: the known-answer suite of the search."""

from selfplay.check.brute_force import BruteForce as BruteForce
from selfplay.check.known_answers import Answer as Answer
from selfplay.check.known_answers import Problem as Problem
from selfplay.check.known_answers import ProblemSet as ProblemSet
from selfplay.check.known_answers import known_answers as known_answers
