"""Positions with known values, and whether searches find them.

In: search variants and an evaluator. Out: an answer to every problem, right or wrong.
"""
