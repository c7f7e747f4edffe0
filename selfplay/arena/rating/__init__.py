"""Statistics of many matches: ratings, a sequential test, which match would tell most.

In: scores of pairs of matches. Out: numbers with their uncertainty. No disk, no clock, no game.
"""
