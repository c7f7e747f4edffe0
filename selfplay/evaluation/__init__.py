"""Strength and mistakes of a run's checkpoints."""
