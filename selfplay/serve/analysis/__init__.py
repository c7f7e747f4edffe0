"""What visitors ask: positions by their moves, agents, searches in batches, shares of visitors."""
