"""A fleet: the trainer and the other processes of one run, started together on an engine.

In: a description (`fleet.Fleet`). Out: running processes, each of which is a command that people
could type (`fleet.ROLES`), and a record of them in the user's state directory.
`backends` lists the engines. No module here imports JAX.
"""
