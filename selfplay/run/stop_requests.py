"""Requests to the processes of a run to end in order: small files that they look for."""

import json

from selfplay.errors import RunError
from selfplay.run.heartbeats import Heartbeat
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.store import Store

FOLDER = "requests"


def ask_to_stop(run: Place | Store, beat: Heartbeat) -> None:
    """Asks a process to end as after SIGTERM; it finds the request within seconds.

    A trainer saves a checkpoint before it ends, a worker stores its finished matches.

    Args:
        run: the run.
        beat: the newest heartbeat of the process.

    Raises:
        RunError: it has ended, or is of a selfplay that looks for no requests.
        StorageError: the store cannot be written to.
    """
    if not beat.alive:
        raise RunError(f"{beat.name} has ended already", hint="there is nothing to stop")
    session = beat.fields.get("session")
    if session is None:
        raise RunError(
            f"{beat.name} looks for no requests",
            hint="it is of an older selfplay: stop it where it runs, by Ctrl-C or SIGTERM",
        )
    data = json.dumps({"request": "stop", "session": session}).encode()
    open_store(run).write(_name(beat.role, beat.id), data)


def is_asked_to_stop(run: Place | Store, role: str, id: str, session: str) -> bool:
    """Returns whether a process was asked to end, with one request to the store.

    Args:
        run: the run.
        role: of the process.
        id: of the process.
        session: what its heartbeats say, which tells it from an earlier process of that name.

    Raises:
        StorageError: the store cannot be reached.
    """
    try:
        request = json.loads(open_store(run).read(_name(role, id)))
    except (FileNotFoundError, ValueError):
        return False
    return isinstance(request, dict) and request.get("session") == session


def withdraw_request(run: Place | Store, role: str, id: str) -> None:
    """Removes the request to a process, which has done what it was asked for."""
    open_store(run).delete(_name(role, id))


def _name(role: str, id: str) -> str:
    return f"{FOLDER}/{role}-{id}.json"
