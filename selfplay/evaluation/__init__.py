"""Evaluation: measures the strength of a run's checkpoints, their mistakes, and what they solve.

In: weights, and the opponents that the settings name.
Out: results of matches, mistakes in solved positions and answers to position suites, as files in
`RUN/ratings`.
"""
