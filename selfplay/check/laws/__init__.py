"""The laws that a game must keep, and the functions that test them.

In: facts about positions, plies, matches and measures. Out: what breaks a law, with its words.
"""
