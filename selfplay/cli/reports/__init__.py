"""Commands that report on a run or a machine."""
