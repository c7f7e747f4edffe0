"""Workers and evaluators: processes that play matches for a run, or rate its checkpoints.

In: the run's settings and checkpoints, and the heartbeat of its trainer.
Out: files of matches (worker), results of evaluations (evaluator), heartbeats (both).
"""
