"""What it costs to open every checkpoint once after it was written.

    python benchmarks/read_back.py --saves 20

Saves the weights and the state of the trainer of Connect Four's default network, and of one four
times as wide, in a directory for temporary files.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import jax


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--saves", type=int, default=20)
    saves = parser.parse_args().saves

    from selfplay import startup
    from selfplay.checkpoints import files
    from selfplay.checkpoints.directory_checkpoints import DirectoryCheckpoints
    from selfplay.registry import make
    from selfplay.runtime.components import make_components
    from selfplay.settings import Config

    startup.prepare(cpu_devices=1)

    seconds: list[float] = []
    read_back = files.read_back

    def timed(directory: Path, label: str) -> None:
        begin = time.perf_counter()
        read_back(directory, label)
        seconds.append(time.perf_counter() - begin)

    files.read_back = timed

    default = Config()
    print("| network | MB | save, ms | of which reading, ms |\n| --- | ---: | ---: | ---: |")
    for factor in (1, 4):
        channels = factor * default.network.channels
        parts = make_components(
            make("connect_four"), default.updated({"network": {"channels": channels}})
        )
        state = parts.learner.init(key=jax.random.key(0))
        items = {"weights": state.average, "train_state": state}
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(items)) / 1e6
        whole, reading = [], []
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = DirectoryCheckpoints(Path(folder))
            for update in range(saves):
                begin = time.perf_counter()
                checkpoints.save(update, items)
                whole.append(1e3 * (time.perf_counter() - begin))
                reading.append(1e3 * seconds.pop())
                checkpoints.prune(keep_last=1)
        medians = f"{statistics.median(whole):.0f} | {statistics.median(reading):.0f}"
        print(f"| {default.network.blocks}x{channels} | {size:.1f} | {medians} |", flush=True)


if __name__ == "__main__":
    main()
