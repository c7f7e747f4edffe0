"""Guesses results from observations in random matches, under several readings of a game.

In: a game, or positions of random matches. Out: correlations, and what they show to be wrong.
"""
