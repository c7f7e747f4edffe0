"""What every process of a run is built from: components, memory plan, self-play, progress."""
