"""The process of one training or measurement; `benchmarks/methods.py` starts it."""

import sys
from pathlib import Path

from benchmarks.paired_training.arm import label_positions, measure, train_arm
from benchmarks.paired_training.plan import Cell


def main(directory: str, what: str, game: str, seed: str, arm: str, core: str) -> None:
    """Does one thing, named by the arguments."""
    cell, number = Cell(game, int(seed)), int(core) if core else None
    if what == "label":
        label_positions(Path(directory), cell, number)
    elif what == "measure":
        measure(Path(directory), cell, number)
    else:
        train_arm(Path(directory), cell, arm, number, warm_up=what == "warm-up")


if __name__ == "__main__":
    main(*sys.argv[1:])
