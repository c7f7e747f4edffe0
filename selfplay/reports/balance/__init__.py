"""The balance of a game, for its designer: what the matches of a run say about its rules.

In: the matches that a run has stored, and matches that are played for this. Out: one document, from
which the command line, the HTML page and the web board show what they need.
"""
