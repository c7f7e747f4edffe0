"""Heartbeats: small files by which the processes of a run show that they are alive."""

import contextlib
import dataclasses
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.errors import ConfigError, StorageError
from selfplay.store.files import atomic_write, process_exists, process_space
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.store import Store

MAX_AGE_SECONDS = 120.0
"""A process whose newest heartbeat is older counts as dead."""

CLOCKS_DIFFER_SECONDS = 3600.0
"""A heartbeat that looks older than this is old even if clocks are wrong."""

_AHEAD_SECONDS = 10.0
_LOOK_SECONDS = 0.5

FOLDER = "heartbeats"

COPY_VARIABLE = "SELFPLAY_HEARTBEAT_FILE"
"""Environment variable: a file of this machine where a process keeps a copy of its heartbeat."""

_OWN_FIELDS = ("role", "id", "pid", "host", "process_space", "time")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """The newest heartbeat of one process.

    Attributes:
        role: "trainer", "worker", "evaluator" or "reanalyzer".
        id: tells processes of one role apart.
        pid: its process id, on `host`.
        host: where it runs.
        time: when it was written, in seconds since 1970 by the clock of `host`.
        age: seconds since then, 0 or more, as far as the clocks tell.
        ahead: seconds by which the clock of `host` is ahead of that of the store; None if the
            store does not tell times.
        alive: whether the heartbeat is young enough and, as far as this process can see, the
            process still runs.
        fields: the rest: "update", "checkpoint", "matches_per_second", ...
    """

    role: str
    id: str
    pid: int
    host: str
    time: float
    age: float
    ahead: float | None
    alive: bool
    fields: dict[str, Any]

    @property
    def name(self) -> str:
        """Role and id, which no other process of the run has."""
        return f"{self.role} {self.id}"


def write_heartbeat(run: Place | Store, role: str, id: str, fields: Mapping[str, Any]) -> None:
    """Writes the heartbeat of this process, and a copy into the file that `COPY_VARIABLE` names.

    Args:
        run: the run.
        role: "trainer", "worker", "evaluator" or "reanalyzer".
        id: tells processes of one role apart; letters, digits, dots, dashes and underscores.
        fields: anything JSON can hold.

    Raises:
        ConfigError: the id cannot be part of a file name.
        StorageError: the disk is full or refuses the write.
    """
    beat = {
        **fields,
        "role": role,
        "id": id,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "process_space": process_space(),
        "time": time.time(),
    }
    data = json.dumps(beat, indent=1).encode() + b"\n"
    copy = os.environ.get(COPY_VARIABLE)
    if copy:
        # Nothing depends on it.
        with contextlib.suppress(OSError, StorageError):
            atomic_write(Path(copy), data)
    open_store(run).write(_name(role, id), data)


def remove_heartbeat(run: Place | Store, role: str, id: str) -> None:
    """Removes the heartbeat of this process, which ends in order."""
    open_store(run).delete(_name(role, id))


def read_heartbeat(
    run: Place | Store, role: str, id: str, *, store_time: bool = False
) -> Heartbeat | None:
    """Returns the heartbeat of one process by its name, with one request to the store or two.

    Args:
        run: the run.
        role: "trainer", "worker", "evaluator" or "reanalyzer".
        id: of the process.
        store_time: whether to ask for its time in the store as well, in a second request. Else its
            age is by the clock of its host alone.

    Returns:
        None if there is no such heartbeat, or it cannot be read.

    Raises:
        StorageError: the store cannot be reached.
    """
    store, name = open_store(run), _name(role, id)
    entry = store.entry(name) if store_time else None
    return _read_one(store, name, 0.0 if entry is None else entry.time)


def read_heartbeats(
    run: Place | Store, *, role: str = "", watch_seconds: float = 0.0
) -> list[Heartbeat]:
    """Returns the heartbeats of a run, the dead included, by role and id.

    The age of a heartbeat is the smaller of the ages by the clock of its host and by that of the
    store, because one of the clocks may be wrong. If the clock of this host is wrong,
    `watch_seconds` helps.

    Args:
        run: the run.
        role: only the heartbeats of this role are read; "" for those of all.
        watch_seconds: how long to watch whether a heartbeat of another host changes, if it looks
            old by this clock and might be young.

    Raises:
        StorageError: the store cannot be reached.
    """
    store = open_store(run)
    beats = _read(store, role)
    doubtful = {beat.name: beat.time for beat in beats if _is_doubtful(beat)}
    deadline = time.monotonic() + watch_seconds
    changed: set[str] = set()
    while set(doubtful) > changed and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        beats = _read(store, role)
        changed = {beat.name for beat in beats if doubtful.get(beat.name, beat.time) != beat.time}
    return [
        dataclasses.replace(beat, age=0.0, alive=True) if beat.name in changed else beat
        for beat in beats
    ]


def _read(store: Store, role: str) -> list[Heartbeat]:
    names = re.compile(f"{FOLDER}/{re.escape(role)}{'-' if role else ''}.*\\.json")
    found = [entry for entry in store.entries(FOLDER) if names.fullmatch(entry.name)]
    beats = (_read_one(store, entry.name, entry.time) for entry in found)
    return [beat for beat in beats if beat is not None]


def _read_one(store: Store, name: str, stored_at: float) -> Heartbeat | None:
    try:
        return _heartbeat(json.loads(store.read(name)), stored_at)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Not there (any more), or not written by selfplay.
        return None


def _heartbeat(beat: Mapping[str, Any], stored_at: float) -> Heartbeat:
    """Returns a heartbeat from its content and its time in the store, 0 if that is not known."""
    written = float(beat["time"])
    now = time.time()
    ages = [now - stored_at] if stored_at else []
    # A time in the future says nothing about the age.
    if now - written >= -_AHEAD_SECONDS or not ages:
        ages.append(now - written)
    age = max(0.0, min(ages))
    # Process ids of other hosts and containers mean nothing here.
    gone = _is_here(beat) and not process_exists(int(beat["pid"]))
    return Heartbeat(
        role=str(beat["role"]),
        id=str(beat["id"]),
        pid=int(beat["pid"]),
        host=str(beat["host"]),
        time=written,
        age=age,
        ahead=written - stored_at if stored_at else None,
        alive=age <= MAX_AGE_SECONDS and not gone,
        fields={key: beat[key] for key in beat if key not in _OWN_FIELDS},
    )


def _is_here(beat: Mapping[str, Any]) -> bool:
    return beat.get("process_space") == process_space()


def _is_doubtful(beat: Heartbeat) -> bool:
    foreign = beat.host != socket.gethostname()
    return foreign and MAX_AGE_SECONDS < beat.age < CLOCKS_DIFFER_SECONDS


def store_clock_offset(run: Place | Store, role: str, id: str) -> float | None:
    """Returns by how many seconds the clock of the store is ahead of this host's.

    It compares two times of one heartbeat of this process: the one in its content and the one that
    the store gave it. Buckets have whole seconds only.

    Args:
        run: the run.
        role: of this process.
        id: of this process.

    Returns:
        None if there is no such heartbeat, or the store does not tell times.

    Raises:
        StorageError: the store cannot be reached.
    """
    store = open_store(run)
    name = _name(role, id)

    def written_at() -> float:
        entry = store.entry(name)
        return 0.0 if entry is None else entry.time

    before = written_at()
    while before:
        try:
            written = float(json.loads(store.read(name))["time"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        after = written_at()
        if after == before:
            return before - written
        # Written again in between.
        before = after
    return None


def _name(role: str, id: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", id):
        raise ConfigError(
            f"the {role} id is {id!r}, but must be letters, digits, dots, dashes and underscores"
        )
    return f"{FOLDER}/{role}-{id}.json"
