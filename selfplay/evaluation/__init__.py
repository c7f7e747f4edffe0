"""Evaluation: measures the strength and the mistakes of a run's checkpoints.

In: weights, and the opponents that the settings name.
Out: results of matches and mistakes in solved positions, as files in `RUN/ratings`.
"""
