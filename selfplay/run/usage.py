"""How long the processes of a run have run: heartbeats say it of those that run now, or that were
killed; small files say it of those that have ended, and one file adds up the older ones of them.
"""

import json
from collections.abc import Iterable, Mapping
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
"""Key in heartbeats: for how long it has run; of a trainer of several processes, their sum."""

_TOTAL = f"{FOLDER}/total.json"
_FOLD_SECONDS = 3600.0
_MOST_FILES = 64


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
    open_store(run).write(_file(role, id, started), json.dumps(document).encode())


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
    it did meanwhile, and as one process however many cores and GPUs it had. Each process of a
    trainer of several counts. Processes of a selfplay that recorded no hours do not count.

    Args:
        run: the run.
        beats: its heartbeats, if they were read already.

    Returns:
        Hours by role, for roles with any.

    Raises:
        StorageError: the store cannot be reached.
    """
    store = open_store(run)
    # Heartbeats first: a process writes its file before it removes its heartbeat. Last the total:
    # it is written before what it contains goes.
    found = beats if beats is not None else read_heartbeats(store)
    lived = _of_heartbeats(found)
    for name in store.names(FOLDER):
        if (one := _of_file(store, name)) is not None:
            lived[name] = one[0], max(one[1], lived.get(name, one)[1])
    seconds, added = _total(store) or ({}, set())
    for name, (role, number) in lived.items():
        if name not in added:
            seconds[role] = seconds.get(role, 0.0) + number
    return {role: seconds[role] / 3600.0 for role in ROLES if seconds.get(role)}


def fold_usage(run: Place | Store, *, now: float) -> None:
    """Adds up in one file what more than `_MOST_FILES` files say, and removes them.

    Those of the last hour stay, and those of processes that still have a heartbeat. If it is
    interrupted, nothing is lost or counted twice. No two processes may do this at once. Nothing
    changes if the file with the sum is damaged.

    Args:
        run: the run.
        now: seconds since 1970, by the clock of the store.

    Raises:
        StorageError: the store cannot be reached or refuses.
    """
    store = open_store(run)
    total = _total(store)
    if total is None:
        return
    seconds, added = total
    old = []
    for entry in store.entries(FOLDER):
        if entry.name in added:
            store.delete(entry.name)
        elif now - entry.time > _FOLD_SECONDS and entry.name != _TOTAL:
            old.append(entry.name)
    if len(old) <= _MOST_FILES:
        return
    beating = _of_heartbeats(read_heartbeats(store))
    files = {name: _of_file(store, name) for name in old if name not in beating}
    ended = {name: one for name, one in files.items() if one is not None}
    for role, number in ended.values():
        seconds[role] = seconds.get(role, 0.0) + number
    document = {"seconds": seconds, "added": sorted(ended)}
    store.write(_TOTAL, json.dumps(document).encode())
    for name in ended:
        store.delete(name)


def _file(role: str, id: str, started: int) -> str:
    return f"{FOLDER}/{role}-{id}-{started}.json"


def _of_heartbeats(beats: Iterable[Heartbeat]) -> dict[str, tuple[str, float]]:
    """Returns role and seconds of each process by the name of the file that it will leave."""
    return {
        _file(beat.role, beat.id, lived[0]): (beat.role, lived[1])
        for beat in beats
        if (lived := _lived(beat.fields)) is not None
    }


def _of_file(store: Store, name: str) -> tuple[str, float] | None:
    """Returns role and seconds of a process that has ended, None if the file does not say."""
    try:
        document = json.loads(store.read(name))
        role, lived = str(document["role"]), _lived(document)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return None if lived is None else (role, lived[1])


def _total(store: Store) -> tuple[dict[str, float], set[str]] | None:
    """Returns the seconds by role that were added up, and the files that were added last.

    None if the file is damaged.
    """
    try:
        document = json.loads(store.read(_TOTAL))
        seconds = {str(role): float(number) for role, number in document["seconds"].items()}
        return seconds, set(document["added"])
    except FileNotFoundError:
        return {}, set()
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _lived(fields: Mapping[str, Any]) -> tuple[int, float] | None:
    """Returns when a process started and how long it has run, None if that was not recorded."""
    started, lived = fields.get(STARTED), fields.get(LIVED)
    if not isinstance(started, int) or not isinstance(lived, int | float) or lived < 0:
        return None
    return started, float(lived)
