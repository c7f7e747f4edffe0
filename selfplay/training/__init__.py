"""Training: matches in, checkpoints out."""
