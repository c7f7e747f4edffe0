"""Heartbeats: small files by which the processes of a run say that they are alive."""

import dataclasses
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.errors import ConfigError
from selfplay.run.storage import process_exists, process_space, write_json

MAX_AGE_SECONDS = 120.0
"""A process that has been silent for longer counts as dead."""

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


def write_heartbeat(run_path: Path, role: str, id: str, fields: Mapping[str, Any]) -> None:
    """Says that this process is alive.

    Args:
        run_path: the run directory.
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
    write_json(_file(run_path, role, id), beat)


def remove_heartbeat(run_path: Path, role: str, id: str) -> None:
    """Says that this process has ended as it should."""
    _file(run_path, role, id).unlink(missing_ok=True)


def read_heartbeats(run_path: Path) -> list[Heartbeat]:
    """Returns the heartbeats of a run, the dead included, by role and id."""
    beats = []
    for file in sorted((run_path / "heartbeats").glob("[!.]*.json")):
        try:
            beat = json.loads(file.read_bytes())
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
        except (OSError, ValueError, KeyError, TypeError):
            # Gone since the listing, or not written by us: says nothing about anybody.
            continue
    return beats


def _file(run_path: Path, role: str, id: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", id):
        raise ConfigError(
            f"the {role} id is {id!r}, but must be letters, digits, dots, dashes and underscores"
        )
    return run_path / "heartbeats" / f"{role}-{id}.json"


def _is_alive(beat: Mapping[str, Any]) -> bool:
    if time.time() - float(beat["time"]) > MAX_AGE_SECONDS:
        return False
    # A process id of another host or container means nothing here.
    return beat.get("process_space") != process_space() or process_exists(int(beat["pid"]))
