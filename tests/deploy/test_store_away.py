"""A Redis that is not there yet, and one that goes away, as the processes of a run meet it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from selfplay.run import MatchFiles
from tests.deploy.test_loop import SETTINGS
from tests.store.fixtures import free_port

PATIENCE_SECONDS = 300.0


class Program:
    """A program in the background; what it writes goes into a file."""

    def __init__(self, words: list[str], log: Path, environ: Mapping[str, str]) -> None:
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                words, env={**os.environ, **environ}, stdout=file, stderr=subprocess.STDOUT
            )

    @property
    def said(self) -> str:
        """What it has written so far; lines are wrapped at the width of a terminal."""
        return " ".join(self.log.read_text().split())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Program] = []

    def begin(name: str, *words: str, **environ: str) -> Program:
        one = Program(list(words), tmp_path / f"{name}.log", environ)
        started.append(one)
        return one

    yield begin
    for one in reversed(started):
        one.process.kill()
        one.process.wait()


@pytest.mark.slow
def test_nothing_is_lost_and_nobody_leaves(start: Start, tmp_path: Path) -> None:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed (apt install redis-server)")
    port = free_port()
    run = f"redis://127.0.0.1:{port}/0/run"
    selfplay = (sys.executable, "-m", "selfplay")
    trainer = start(
        *("trainer", *selfplay, "trainer", "--run", run, "--game", "tic_tac_toe"),
        **SETTINGS,
        # The worker does not rest, however slow the trainer is.
        SELFPLAY_TRAINER__MAX_BACKLOG="1000000000",
    )
    # It waits, as a worker does.
    trainer.wait_until(lambda: "cannot be reached or refuses" in trainer.said)
    trainer.wait_until(lambda: "; trying again" in trainer.said)
    server: tuple[str, ...] = (
        binary,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(tmp_path),
    )
    server = (*server, "--appendonly", "yes")
    redis = start("redis", *server)
    cache = tmp_path / "cache"
    command = (*selfplay, "worker", "--run", run, "--jitter", "0")
    worker = start("worker", *command, "--id", "w", SELFPLAY_CACHE=str(cache))
    files = MatchFiles(run)
    worker.wait_until(lambda: "checkpoint" in worker.said and files.next_sequence("w") > 0)
    assert trainer.end() == 0, trainer.said
    redis.end(signal.SIGKILL)
    time.sleep(2)
    begin = time.monotonic()
    assert worker.end() == 0, worker.said
    # What Kubernetes gives a process that nobody says anything of.
    assert time.monotonic() - begin < 30, worker.said
    assert "files of finished matches are kept in" in worker.said
    kept = sorted(cache.rglob("*.parquet"))
    assert kept
    start("redis-again", *server)
    following = start("next", *command, "--max-matches", "1", SELFPLAY_CACHE=str(cache))
    assert following.process.wait(PATIENCE_SECONDS) == 0, following.said
    assert f"stored {len(kept)} files of matches" in following.said
    assert not list(cache.rglob("*.parquet"))
    # No number is missing and none came twice.
    numbers = [item.sequence for item in files.entries() if item.worker == "w"]
    assert sorted(numbers) == list(range(files.next_sequence("w")))
    assert int(kept[-1].stem) == max(numbers)
    ids = [m.match_id for number in numbers for m in files.get("w", number)]
    assert len(set(ids)) == len(ids)
