"""How long the processes of a run have run: heartbeats say it of those that run now, or that were
killed; small files say it of those that have ended.
"""

import json
from collections.abc import Mapping
from typing import Any

from selfplay.run.heartbeats import Heartbeat, read_heartbeat, read_heartbeats
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.store import Store

FOLDER = "usage"
ROLES = ("trainer", "worker", "evaluator", "reanalyzer")

STARTED = "started"
"""Key in heartbeats: when the process started, in milliseconds since 1970."""

LIVED = "lived_seconds"
"""Key in heartbeats: for how long it has run."""


def keep_usage(run: Place | Store, role: str, id: str, started: int, lived_seconds: float) -> None:
    """Keeps how long a process has run, which is about to end or has ended.

    Args:
        run: the run.
        role: of the process.
        id: of the process.
        started: milliseconds since 1970.
        lived_seconds: at least 0.

    Raises:
        StorageError: the store cannot be written to.
    """
    document = {"role": role, "id": id, STARTED: started, LIVED: round(lived_seconds, 3)}
    open_store(run).write(f"{FOLDER}/{role}-{id}-{started}.json", json.dumps(document).encode())


def keep_usage_of_killed(run: Place | Store, role: str, id: str) -> None:
    """Keeps how long a killed process has run, before another one takes its heartbeat over.

    Args:
        run: the run.
        role: of both processes.
        id: of both processes.

    Raises:
        StorageError: the store cannot be reached.
    """
    beat = read_heartbeat(run, role, id)
    if beat is not None and (found := _lived(beat.fields)) is not None:
        keep_usage(run, role, id, *found)


def hours_by_role(run: Place | Store, beats: list[Heartbeat] | None = None) -> dict[str, float]:
    """Returns how many hours the processes of each role have run, all together.

    A process counts from its start to its end, or to its last heartbeat if it was killed, whatever
    it did meanwhile, and as one process however many cores and GPUs it had. Processes of a selfplay
    that recorded no hours do not count.

    Args:
        run: the run.
        beats: its heartbeats, if they were read already.

    Returns:
        Hours by role, for roles with any.

    Raises:
        StorageError: the store cannot be reached.
    """
    store = open_store(run)
    # Heartbeats first: a process writes its file before it removes its heartbeat.
    found = beats if beats is not None else read_heartbeats(store)
    seconds: dict[tuple[str, str, int], float] = {}
    for beat in found:
        if (lived := _lived(beat.fields)) is not None:
            seconds[beat.role, beat.id, lived[0]] = lived[1]
    for name in store.names(FOLDER):
        try:
            document = json.loads(store.read(name))
            key = (str(document["role"]), str(document["id"]))
            lived = _lived(document)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            continue
        if lived is not None:
            seconds[*key, lived[0]] = max(lived[1], seconds.get((*key, lived[0]), 0.0))
    hours = {
        role: sum(number for (of, _, _), number in seconds.items() if of == role) / 3600.0
        for role in ROLES
    }
    return {role: number for role, number in hours.items() if number}


def _lived(fields: Mapping[str, Any]) -> tuple[int, float] | None:
    """Returns when a process started and how long it has run, None if that was not recorded."""
    started, lived = fields.get(STARTED), fields.get(LIVED)
    if not isinstance(started, int) or not isinstance(lived, int | float) or lived < 0:
        return None
    return started, float(lived)
