"""Commands that train a run, play for it or rate it."""
