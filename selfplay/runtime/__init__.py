"""Runtime: the building blocks of every process of a run.

In: a game and settings. Out: components, the memory they need, matches in progress, and the
progress that screen, heartbeats and metrics show.
"""
