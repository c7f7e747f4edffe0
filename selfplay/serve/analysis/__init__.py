"""Positions, agents, searches in batches, and results against visitors."""
