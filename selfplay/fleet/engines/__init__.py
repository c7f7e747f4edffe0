"""The engines that run a fleet, a module or two for each; `selfplay.fleet.backends` lists them.

In: a fleet and what was asked of its engine. Out: running processes, or jobs, objects and tasks of
a cluster.
"""
