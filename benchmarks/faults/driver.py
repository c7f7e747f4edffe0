"""Causes faults in the processes of a run and sees that the run goes on after each."""

import collections
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.faults.outcome import count_outcome
from benchmarks.faults.processes import ROLES

PATIENCE_SECONDS = 300.0
"""Longer without any progress is a hang, on a machine of any speed."""


class HangError(Exception):
    """Nothing went on for longer than any machine needs."""


class Chaos:
    """Causes faults in a trainer, two workers and an evaluator, and starts again what is gone.

    Attributes:
        tried: how often each fault was tried.
        survived: how often the run went on after it.
        slowest_end: seconds from SIGTERM to the end, the worst of all.
        hangs: how often nothing went on for `PATIENCE_SECONDS`.
        went_back: how often the newest checkpoint was an older one than before.
    """

    def __init__(self, folder: Path, *, seed: int) -> None:
        """Starts the process that forks all others; `folder` must not exist."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.run = folder / "run"
        self.tried: collections.Counter[str] = collections.Counter()
        self.survived: collections.Counter[str] = collections.Counter()
        self.slowest_end = 0.0
        self.hangs = 0
        self.went_back = 0
        self._random = random.Random(seed)
        self._pids: dict[str, int] = {}
        self._newest = -1
        self._skew: dict[str, float] = {}
        self._damaged = 0
        root = Path(__file__).resolve().parents[2]
        self._forker = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.faults.processes", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"},
        )

    def start(self, role: str, *more: str) -> int:
        """Starts a process and returns its id."""
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        command, *options = ROLES[role]
        order = {
            "arguments": [command, "--run", str(self.run), *options, *more],
            "log": str(self.folder / f"{role.replace(' ', '-')}.log"),
            "skew": self._skew.get(role, 0.0),
        }
        self._forker.stdin.write(json.dumps(order) + "\n")
        self._forker.stdin.flush()
        return int(self._forker.stdout.readline())

    def revive(self) -> None:
        """Starts whatever is gone."""
        for role in ROLES:
            if not self.alive(role):
                self._pids[role] = self.start(role)

    def alive(self, role: str) -> bool:
        """Returns whether a process is there."""
        return role in self._pids and exists(self._pids[role])

    def progress(self) -> tuple[int, int]:
        """Returns the newest checkpoint and the number of stored files."""
        from selfplay.checkpoints.directory_checkpoints import DirectoryCheckpoints

        newest = DirectoryCheckpoints(self.run).latest()
        newest = -1 if newest is None else newest
        self.went_back += newest < self._newest
        self._newest = newest
        return newest, sum(1 for _ in self.run.glob("matches/[ab]/[0-9]*.parquet"))

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Waits; longer than any machine needs is a hang. Revives what is gone meanwhile.

        Raises:
            HangError: nothing went on.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                self.hang(f"{what}; see the logs in {self.folder}")
            self.revive()
            time.sleep(0.02)

    def hang(self, what: str) -> NoReturn:
        """Counts a hang and raises `HangError`."""
        self.hangs += 1
        raise HangError(what)

    def wait_for_progress(self, *, checkpoint: bool) -> None:
        """Waits until the run has moved on: a checkpoint, or matches of a worker."""
        before = self.progress()
        index = 0 if checkpoint else 1
        what = "no new checkpoint" if checkpoint else "no new matches"
        self.wait_for(lambda: self.progress()[index] > before[index], what)

    def fault(self, kind: str) -> None:
        """Does something bad at a random instant and sees that the run goes on."""
        if not self._pids:
            self.wait_for_progress(checkpoint=True)
        time.sleep(self._random.uniform(0.0, 0.6))
        role = self._random.choice(list(ROLES))
        name = f"{kind} {role.split()[0]}" if kind in ("SIGKILL", "SIGTERM", "SIGSTOP") else kind
        self.tried[name] += 1
        getattr(self, f"_{kind.lower().replace(' ', '_')}")(role)
        self.revive()
        self.wait_for_progress(checkpoint=self._random.random() < 0.3)
        self.survived[name] += 1

    def _sigkill(self, role: str) -> None:
        send(self._pids.get(role), signal.SIGKILL)

    def _sigterm(self, *roles: str) -> None:
        begin = time.monotonic()
        for role in roles:
            send(self._pids.get(role), signal.SIGTERM)
        for role in roles:
            pid = self._pids.get(role)
            while pid is not None and exists(pid):
                if time.monotonic() - begin > PATIENCE_SECONDS:
                    self.hang(f"{role} does not end")
                time.sleep(0.02)
        self.slowest_end = max(self.slowest_end, time.monotonic() - begin)

    def _sigstop(self, role: str) -> None:
        pid = self._pids.get(role)
        send(pid, signal.SIGSTOP)
        time.sleep(self._random.uniform(0.2, 2.0))
        send(pid, signal.SIGCONT)

    def _full_disk(self, role: str) -> None:
        (self.folder / "full").touch()
        time.sleep(self._random.uniform(0.5, 2.0))
        # Killed while nothing can be written, in one of two cases.
        if self._random.random() < 0.5:
            self._sigkill(role)
        (self.folder / "full").unlink()

    def _damaged_matches(self, role: str) -> None:
        whole = sorted(self.run.glob("matches/[ab]/[0-9]*.parquet"))
        data = bytearray(self._random.choice(whole).read_bytes())
        data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        del data[self._random.randrange(len(data) // 2, len(data)) :]
        ghost = self.run / "matches" / "ghost"
        ghost.mkdir(exist_ok=True)
        temporary = ghost / ".tmp-damaged"
        temporary.write_bytes(data)
        temporary.rename(ghost / f"{self._damaged:08d}.parquet")
        self._damaged += 1

    def _damaged_heartbeat(self, role: str) -> None:
        for file in self.run.glob("heartbeats/*.json"):
            file.write_bytes(os.urandom(40))

    def _damaged_rating(self, role: str) -> None:
        for file in sorted(self.run.glob("ratings/[0-9]*.jsonl"))[-1:]:
            file.write_bytes(file.read_bytes()[:-20])

    def _wrong_clock(self, role: str) -> None:
        self._skew[role] = self._random.choice((-86400.0, -300.0, 300.0, 86400.0))
        self._sigkill(role)

    def _id_in_use(self, role: str) -> None:
        self.revive()
        pid = self.start("worker a")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while exists(pid):
            # The one that has the id may have ended meanwhile, so that this one took its place.
            if not self.alive("worker a"):
                self._pids["worker a"] = pid
                return
            if time.monotonic() > deadline:
                self.hang("two workers of one id")
            time.sleep(0.02)

    def finish(self) -> dict[str, Any]:
        """Ends all, lets the trainer take in the rest, and returns what the run holds then."""
        with contextlib.suppress(HangError):
            self._sigterm(*ROLES)
            pid = self.start("trainer", "--idle-exit", "3")
            deadline = time.monotonic() + PATIENCE_SECONDS
            while exists(pid):
                if time.monotonic() > deadline:
                    send(pid, signal.SIGKILL)
                    self.hang("the last trainer does not end")
                time.sleep(0.1)
        self.close()
        found = count_outcome(self.run, self.folder / "confirmed")
        return {**found, "hangs": self.hangs, "went_back": self.went_back}

    def close(self) -> None:
        """Ends whatever is left."""
        for pid in self._pids.values():
            send(pid, signal.SIGKILL)
        self._forker.kill()
        self._forker.communicate()


def send(pid: int | None, number: signal.Signals) -> None:
    """Sends a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        if pid is not None:
            os.kill(pid, number)


def exists(pid: int) -> bool:
    """Returns whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
