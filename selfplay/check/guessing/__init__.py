"""Guesses results from observations in random matches, under several readings of a game."""
