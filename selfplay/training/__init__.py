"""Training: makes updates from matches, and writes checkpoints.

In: the files of matches in the run, those of workers and those that the trainer plays itself.
Out: checkpoints, the training log, heartbeats and event files of the run.
`trainer.Trainer` is one session; `session.open_session` prepares it.
"""
