"""Training: makes updates from matches, and writes checkpoints.

In: the files of matches in the run, from workers and from the trainer's own play.
Out: checkpoints, the training log, heartbeats and event files of the run.
`trainer.Trainer` is one session; `session.open_session` prepares it.
"""
