"""Plays compiled games breadth-first and at random, with a twin of each match.

In: a game, and tests to run at every ply. Out: moves that break a law, and records of matches.
"""
