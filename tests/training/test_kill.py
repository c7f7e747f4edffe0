"""SIGKILL at any instant, many times: the run that comes out is the run without kills."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.checkpoints.directory_checkpoints import DirectoryCheckpoints
from selfplay.records import read_matches

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("killed.py")
CHECKPOINT_UPDATES = 4
"""As in the script."""


class Trainers:
    """Starts training processes, one at a time, and kills them."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._orders, self._answers = process.stdin, process.stdout
        os.set_blocking(self._answers.fileno(), True)

    def _listen(self) -> str:
        line = self._answers.readline()
        assert line, "the processes have failed: see the output above"
        return line.strip()

    def run(self, path: Path, kill_after: float | None, *, reached: int | None = None) -> bool:
        """Trains; returns whether it came to the end before the kill.

        Args:
            path: the run.
            kill_after: seconds; None to let it end.
            reached: the update from whose checkpoint on the seconds count; None: from the start
                of the process. Progress, not time, spreads the kills over the run on a machine of
                any speed.
        """
        self._orders.write(f"{path}\n")
        self._orders.flush()
        pid = int(self._listen())
        heard = []
        if kill_after is not None:
            if reached is not None:
                heard.append(self._listen())
                wait_for(DirectoryCheckpoints(path), reached)
            time.sleep(kill_after)
            # It may have ended by itself meanwhile; nobody else gets its number so soon.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while "gone" not in heard:
            heard.append(self._listen())
        assert kill_after is not None or heard == ["begin", "end", "gone"], heard
        return "end" in heard


def wait_for(checkpoints: DirectoryCheckpoints, update: int) -> None:
    """Waits until a checkpoint of `update` or later is there."""
    deadline = time.monotonic() + 120
    while (checkpoints.latest() or 0) < update:
        assert time.monotonic() < deadline, f"no checkpoint of update {update} in two minutes"
        time.sleep(0.002)


@contextmanager
def trainers(updates: int) -> Iterator[Trainers]:
    """Gives processes that train runs of `updates` updates."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), str(updates)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        yield Trainers(process)


def content(run: Path, update: int) -> dict[str, Any]:
    """Returns a checkpoint without its times."""
    checkpoints = DirectoryCheckpoints(run)
    metadata = checkpoints.metadata(update)
    cursor = metadata["cursor"]
    del cursor["elapsed_seconds"]
    items = {item: checkpoints.load(update, item) for item in metadata["items"]}
    return {"cursor": cursor, "items": items}


def files(run: Path) -> dict[str, bytes]:
    """Returns every complete file of matches."""
    return {file.name: file.read_bytes() for file in sorted(run.glob("matches/*/[0-9]*.parquet"))}


def check(path: Path, *, updates: int, kills: int) -> None:
    source = random.Random(0)
    with trainers(updates) as process:
        # The first fills the compilation cache.
        process.run(path / "warm", None)
        begin = time.monotonic()
        process.run(path / "whole", None)
        seconds = time.monotonic() - begin
        # A generous guess of the time from a checkpoint to the next: most of a short run is start.
        stage = seconds * CHECKPOINT_UPDATES / updates / 2
        run = path / "killed"
        checkpoints = DirectoryCheckpoints(run)
        newest, ended, restarts = -1, False, set()
        stored: dict[str, bytes] = {}
        made = 0
        while made < kills or not ended:
            if made < kills:
                made += 1
                if made % 3 == 0:
                    # It may also hit the start: reading the checkpoint, compiling.
                    ended = process.run(run, source.uniform(0.0, 0.7 * seconds))
                else:
                    # Every other of these sees a new checkpoint before.
                    forward = CHECKPOINT_UPDATES * (made % 3 == 1)
                    reached = min(max(newest, 0) + forward, updates)
                    ended = process.run(run, source.uniform(0.0, 1.5 * stage), reached=reached)
            else:
                ended = process.run(run, None)
            update = checkpoints.latest()
            if update is not None:
                # Updates never go back, and what is there can be read.
                assert update >= newest
                newest = update
                restarts.add(update)
                content(run, update)
            # What was stored stays as it was stored.
            found = files(run)
            assert {name: found.get(name) for name in stored} == stored
            stored = found
    assert made >= kills
    # The kills did hit different stages of the run.
    assert len(restarts) > 2
    assert newest == updates
    whole, killed = content(path / "whole", updates), content(run, updates)
    assert killed["cursor"] == whole["cursor"]
    jax.tree.map(np.testing.assert_array_equal, killed["items"], whole["items"])
    assert stored == files(path / "whole")
    matches = [
        match for file in run.glob("matches/*/[0-9]*.parquet") for match in read_matches(file)
    ]
    assert len({match.match_id for match in matches}) == len(matches)
    assert len(matches) == whole["cursor"]["matches"]


def test_four_kills_change_nothing(tmp_path: Path) -> None:
    check(tmp_path, updates=30, kills=4)


@pytest.mark.slow
def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    check(tmp_path, updates=60, kills=10)


@pytest.mark.slow
def test_many_kills_change_nothing(tmp_path: Path) -> None:
    check(tmp_path, updates=300, kills=60)
