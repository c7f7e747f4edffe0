"""Heartbeats: small files by which the processes of a run say that they are alive."""

import dataclasses
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

from selfplay.errors import ConfigError
from selfplay.run.storage import process_exists, process_space
from selfplay.run.store import Place, Store, open_store

MAX_AGE_SECONDS = 120.0
"""A process that has been silent for longer counts as dead."""

FOLDER = "heartbeats"

_OWN_FIELDS = ("role", "id", "pid", "host", "process_space", "time")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """What one process last said.

    Attributes:
        role: "trainer", "worker" or "evaluator".
        id: tells processes of one role apart.
        pid: its process id, on `host`.
        host: where it runs.
        time: when it said so, in seconds since 1970.
        alive: whether it is still there: not silent for too long and, as far as this process can
            see, still running.
        fields: the rest: "update", "checkpoint", "matches_per_second", ...
    """

    role: str
    id: str
    pid: int
    host: str
    time: float
    alive: bool
    fields: dict[str, Any]


def write_heartbeat(run: Place | Store, role: str, id: str, fields: Mapping[str, Any]) -> None:
    """Says that this process is alive.

    Args:
        run: the run.
        role: "trainer", "worker" or "evaluator".
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
    open_store(run).write(_name(role, id), json.dumps(beat, indent=1).encode() + b"\n")


def remove_heartbeat(run: Place | Store, role: str, id: str) -> None:
    """Says that this process has ended as it should."""
    open_store(run).delete(_name(role, id))


def read_heartbeats(run: Place | Store) -> list[Heartbeat]:
    """Returns the heartbeats of a run, the dead included, by role and id.

    Raises:
        StorageError: the store cannot be reached.
    """
    store = open_store(run)
    beats = []
    for name in store.names(FOLDER):
        if not name.endswith(".json"):
            continue
        try:
            beat = json.loads(store.read(name))
            beats.append(
                Heartbeat(
                    role=str(beat["role"]),
                    id=str(beat["id"]),
                    pid=int(beat["pid"]),
                    host=str(beat["host"]),
                    time=float(beat["time"]),
                    alive=_is_alive(beat),
                    fields={key: beat[key] for key in beat if key not in _OWN_FIELDS},
                )
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            # Gone since the listing, or not written by us: says nothing about anybody.
            continue
    return beats


def store_clock_offset(run: Place | Store, role: str, id: str) -> float | None:
    """Returns by how many seconds the clock of the store is ahead of this host's.

    It is seen in a heartbeat of this process: the store says when that was written, and so does
    its content. Buckets tell whole seconds.

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
        return next((one.time for one in store.entries(FOLDER) if one.name == name), 0.0)

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


def _is_alive(beat: Mapping[str, Any]) -> bool:
    if time.time() - float(beat["time"]) > MAX_AGE_SECONDS:
        return False
    # A process id of another host or container means nothing here.
    return beat.get("process_space") != process_space() or process_exists(int(beat["pid"]))
