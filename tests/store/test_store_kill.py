"""Writers are killed in the middle of writing; no reader takes what they left for complete."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time

from selfplay.checkpoints import open_checkpoints
from selfplay.run import MatchFiles
from selfplay.store import open_store

KILLS = 4

WRITERS = """
import hashlib
import os
import sys

import numpy as np

from selfplay.run import MatchFiles
from selfplay.checkpoints import open_checkpoints
from selfplay.store import open_store
import selfplay.store.fsspec_store, selfplay.store.s3_store
import orbax.checkpoint


def write(place):
    checkpoints, files = open_checkpoints(place), MatchFiles(place)
    store = open_store(place)
    checkpoints.recover()
    update = (checkpoints.latest() or 0) + 1
    number = files.next_sequence("w")
    store.write("ready", b"x")
    print(os.getpid(), flush=True)
    while True:
        # Two megabytes: long enough on its way to be cut in two.
        body = np.random.default_rng(number).bytes(2_000_000)
        files.put_encoded("w", number, hashlib.sha256(body).digest() + body)
        tree = {f"layer{i}": np.full((100, 100), update) for i in range(3)}
        # Twice, so that replacing one is interrupted as well.
        for _ in range(2):
            checkpoints.save(update, {"weights": tree})
        checkpoints.prune(keep_last=2)
        update += 1
        number += 1


# A new process per line, forked because starting Python takes longer than the whole test.
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write(sys.argv[1])
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


def check(place: str) -> tuple[int, int]:
    """Reads everything; returns the newest update and the number of files of matches."""
    checkpoints, files = open_checkpoints(place), MatchFiles(place)
    for update in checkpoints.updates():
        layers = checkpoints.load(update, "weights")
        assert all((layers[f"layer{i}"] == update).all() for i in range(3))
    entries = files.entries()
    assert sorted(item.sequence for item in entries) == list(range(len(entries)))
    for item in entries[-3:]:
        data = files.get_encoded(item.worker, item.sequence)
        assert hashlib.sha256(data[32:]).digest() == data[:32]
        assert len(data) == item.bytes == 2_000_032
    return checkpoints.latest() or 0, len(entries)


def test_killed_writers_leave_nothing_half(place: str) -> None:
    pause = random.Random(0)
    newest = count = 0
    with subprocess.Popen(
        [sys.executable, "-c", WRITERS, place],
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
            try:
                # The first writes something for certain, however slow the machine. Nothing is
                # read here: the writer replaces and prunes what one would read.
                deadline = time.monotonic() + 120
                while kill == 0 and (open_checkpoints(place).latest() or 0) < 2:
                    assert time.monotonic() < deadline
                time.sleep(pause.uniform(0.02, 0.3))
            finally:
                # Whatever happened, or leaving the context would wait for the writer for ever.
                os.kill(writer, signal.SIGKILL)
            assert writers.stdout.readline() == "gone\n"
            after = check(place)
            assert after >= (newest, count)
            newest, count = after
    assert newest >= 2
    assert count >= 1
    assert open_store(place).exists("ready")
