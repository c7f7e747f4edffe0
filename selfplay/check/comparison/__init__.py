"""Compares two games move by move.

In: two games. Out: the first difference, with the fewest moves that show it.
"""
