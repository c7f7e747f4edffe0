"""Trains a small agent to see whether a game can be learnt.

In: a game. Out: scores, a verdict, and what is probably wrong.
"""
