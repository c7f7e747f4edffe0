"""Workers and evaluators: processes that play or rate for a run that is trained elsewhere.

In: the run's settings and checkpoints, and the heartbeat of its trainer.
Out: files of matches (worker), results of evaluations (evaluator), heartbeats (both).
"""
