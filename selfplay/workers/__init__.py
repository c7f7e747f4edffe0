"""Processes that play or rate for a run that is trained elsewhere."""
