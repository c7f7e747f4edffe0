"""Diagnosis: whether a run learns, what holds it back, and what to change.

In: what a run has stored: matches, losses, evaluations, heartbeats, weights.
Out: findings, each from one measurement with a threshold.
"""
