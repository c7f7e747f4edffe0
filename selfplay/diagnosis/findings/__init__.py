"""The findings of `selfplay diagnose`, by what they look at."""
