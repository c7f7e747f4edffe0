"""Matches, training, events and processes of runs."""
