"""A writer is killed again and again; readers only ever meet complete checkpoints."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from selfplay.checkpoints.directory_checkpoints import DirectoryCheckpoints

KILLS = 20

WRITERS = """
import os
import sys
from pathlib import Path

import numpy as np
import orbax.checkpoint

from selfplay.checkpoints.directory_checkpoints import DirectoryCheckpoints


def write(checkpoints):
    checkpoints.recover()
    update = (checkpoints.latest() or 0) + 1
    print(os.getpid(), flush=True)
    while True:
        tree = {f"layer{i}": np.full((50, 50), update) for i in range(4)}
        # Every update is written twice, so that replacing one is interrupted as well.
        for _ in range(2):
            checkpoints.save(update, {"weights": tree, "train_state": {"update": update}})
        checkpoints.prune(keep_last=3)
        update += 1


# A new process per line, forked because starting Python takes longer than the whole test.
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write(DirectoryCheckpoints(Path(sys.argv[1])))
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


def check(checkpoints: DirectoryCheckpoints) -> int:
    """Loads every checkpoint and returns the newest update."""
    for update in checkpoints.updates():
        weights = checkpoints.load(update, "weights")
        assert all((weights[f"layer{i}"] == update).all() for i in range(4))
        assert checkpoints.load(update, "train_state")["update"] == update
    return checkpoints.latest() or 0


def newest_written(checkpoints: DirectoryCheckpoints) -> int:
    return checkpoints.latest() or 0


def test_killed_writers_leave_complete_checkpoints(tmp_path: Path) -> None:
    checkpoints = DirectoryCheckpoints(tmp_path)
    pause = random.Random(0)
    newest = interrupted = 0
    with subprocess.Popen(
        [sys.executable, "-c", WRITERS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writers:
        assert writers.stdin is not None
        assert writers.stdout is not None
        for kill in range(KILLS):
            writers.stdin.write("next\n")
            writers.stdin.flush()
            writer = int(writers.stdout.readline())
            until = time.monotonic() + pause.uniform(0.05, 0.3)
            deadline = time.monotonic() + 120
            try:
                # The first lives until something is there, however slow the machine.
                while time.monotonic() < until or (kill == 0 and newest_written(checkpoints) < 2):
                    assert time.monotonic() < deadline
                    # A reader meets whole checkpoints while they are written, replaced and pruned.
                    found = checkpoints.load_latest("weights")
                    if found is not None:
                        update, weights = found
                        assert update >= newest
                        layer = weights["layer3"]
                        np.testing.assert_array_equal(layer, np.full((50, 50), update))
            finally:
                # Whatever happened, or leaving the context would wait for the writer for ever.
                os.kill(writer, signal.SIGKILL)
            assert writers.stdout.readline() == "gone\n"
            interrupted += any(name.startswith(".") for name in os.listdir(checkpoints.path))
            checkpoints.recover()
            after = check(checkpoints)
            assert after >= newest
            newest = after
    assert interrupted > 0
    assert newest > 1
    checkpoints.save(newest + 1, {"weights": {"w": np.zeros(1)}})
    assert not [name for name in os.listdir(checkpoints.path) if name.startswith(".")]
