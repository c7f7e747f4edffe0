"""Ids of processes: no two processes of one role in a run share one."""

import contextlib
import fcntl
import hashlib
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from selfplay.errors import ConfigError, RunError
from selfplay.run import Heartbeat, RunDirectory, read_heartbeat
from selfplay.run.heartbeats import CLOCKS_DIFFER_SECONDS
from selfplay.run.pace import USUAL_BEAT_SECONDS
from selfplay.runtime.lifetime import Lifetime

_MOST_OF_A_HOST = 1000
_SILENT_BEATS = 2.4
"""A process that is silent for so many times the pause between its heartbeats has ended."""


@contextlib.contextmanager
def claimed_id(
    run: RunDirectory, role: str, wished: str | None, *, lifetime: Lifetime
) -> Iterator[str]:
    """Yields an id that no other process has while the context lasts.

    On one host a process holds a lock file, in the directory for temporary files, that the kernel
    releases however the process ends. A process on another host is detected by its heartbeats:
    while they change, it has the id.

    Args:
        run: the run.
        role: "worker", "evaluator" or "reanalyzer".
        wished: the id; None for the name of the host and the first free number.
        lifetime: ends the wait for a heartbeat.

    Raises:
        ConfigError: the id cannot be part of a file name.
        RunError: another process has it.
    """
    with contextlib.ExitStack() as stack:
        if wished is not None:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", wished):
                raise ConfigError(
                    f"--id is {wished!r}, but must be up to 100 letters, digits, dots, dashes "
                    "and underscores"
                )
            if not _lock(stack, run, role, wished):
                raise _taken(role, wished, "on this host")
            _refuse_if_beating(run, role, wished, lifetime)
            yield wished
            return
        host = re.sub(r"[^A-Za-z0-9.-]+", "-", socket.gethostname()).strip("-.")[:60] or "host"
        for number in range(1, _MOST_OF_A_HOST):
            if _lock(stack, run, role, f"{host}-{number}"):
                yield f"{host}-{number}"
                return
        raise RunError(f"{host} runs {_MOST_OF_A_HOST} processes of {run.url} already")


def _lock(stack: contextlib.ExitStack, run: RunDirectory, role: str, id: str) -> bool:
    """Returns whether this process has the lock of an id until the stack is closed."""
    place = hashlib.sha256(str(run.url).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"selfplay-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder / f"{place}-{role}-{id}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        # There is no place for a lock, as in a read-only container; its host name is unique anyway.
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    stack.callback(os.close, descriptor)
    return True


def _refuse_if_beating(run: RunDirectory, role: str, id: str, lifetime: Lifetime) -> None:
    """Raises `RunError` if a process of this id on another host is alive."""
    first = _foreign_beat(run, role, id)
    # If clocks differ, a process that looks dead may be alive; watching its heartbeat shows that.
    if first is None or (not first.alive and first.age > CLOCKS_DIFFER_SECONDS):
        return
    begin = lifetime.elapsed
    silence = _SILENT_BEATS * float(first.fields.get("pause_seconds", USUAL_BEAT_SECONDS))
    while not lifetime.over and lifetime.elapsed - begin < silence:
        lifetime.sleep(0.5)
        beat = _foreign_beat(run, role, id)
        if beat is None:
            return
        if beat.time != first.time:
            raise _taken(role, id, f"on {beat.host}")


def _foreign_beat(run: RunDirectory, role: str, id: str) -> Heartbeat | None:
    # By name: if each of N workers read all heartbeats when it starts, N x N would be read.
    beat = read_heartbeat(run.store, role, id, store_time=True)
    return None if beat is None or beat.host == socket.gethostname() else beat


def _taken(role: str, id: str, where: str) -> RunError:
    return RunError(
        f"another {role} {where} has the id {id}",
        hint="choose another --id, or leave it out to get a free one",
    )
