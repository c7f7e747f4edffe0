"""What visitors see of runs: matches, training, events, and the control of processes."""
