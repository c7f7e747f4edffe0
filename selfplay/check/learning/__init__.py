"""Trains a small agent to see whether a game can be learnt."""
