"""A fleet: the trainer, workers and evaluators of one run, started together on an engine.

In: a description (`fleet.Fleet`). Out: running processes, which are the commands
`selfplay trainer`, `selfplay worker` and `selfplay evaluator`, and a record of them in the user's
state directory.
`backends` lists the engines. No module here imports JAX.
"""
