"""The state of a fleet: what its engine says, and the heartbeats in its run."""

from typing import Any

from selfplay.errors import RunError, SelfplayError, StorageError
from selfplay.fleet.backends import make_backend
from selfplay.fleet.record import Record
from selfplay.run.heartbeats import Heartbeat, read_heartbeats
from selfplay.store.place import typed

_SHOWN = ("state", "update", "checkpoint", "matches_per_second")


def fleet_status(run: str) -> dict[str, Any]:
    """Returns the state of the fleet of a run, for people and programs.

    Args:
        run: a path or a URL.

    Returns:
        "run", "on" (the engine; None if no fleet was launched from here), "folder" (of the
        record), "alive", "processes" and more as `Backend.processes` has it, "heartbeats", and
        "store_error", a text if the run cannot be read. Without heartbeats where the engine keeps
        the run out of reach.

    Raises:
        RunError: the record is damaged, or there is neither a record nor a heartbeat.
    """
    record = Record(run)
    document = record.read()
    heartbeats: list[dict[str, Any]] = []
    store_error = None
    backend = None if document is None else make_backend(document["on"])
    if backend is None or backend.sees_run:
        try:
            heartbeats = [_shown(beat) for beat in read_heartbeats(record.run)]
        except StorageError as error:
            store_error = str(error)
    if backend is None and not heartbeats:
        raise no_fleet(record)
    found: dict[str, Any] = {"alive": None, "processes": []}
    if backend is not None and document is not None:
        found = backend.processes(record, document)
    return {
        "run": record.run,
        "on": None if document is None else document["on"],
        "folder": str(record.folder),
        **found,
        "heartbeats": heartbeats,
        "store_error": store_error,
    }


def check_not_elsewhere(record: Record, on: str) -> None:
    """Raises unless no other engine runs a fleet of the run, as far as can be seen from here.

    Args:
        record: of the fleet.
        on: the engine that is to run it.

    Raises:
        RunError: another engine runs it.
    """
    document = record.read()
    if document is None or document["on"] == on:
        return
    try:
        alive = make_backend(document["on"]).processes(record, document)["alive"]
    except SelfplayError:
        # That cluster is out of reach. A trainer there would still keep the lock of the run.
        return
    if alive:
        raise RunError(
            f"the fleet of {record.run} runs on {document['on']} already",
            hint=f"end it first: selfplay launch --stop {typed(record.run)}",
        )


def no_fleet(record: Record) -> RunError:
    """Returns the error for a run of which no fleet is recorded."""
    return RunError(
        f"no fleet of {record.run} was launched from here",
        hint=f"selfplay status {typed(record.run)} shows the processes of a run wherever they are",
    )


def _shown(beat: Heartbeat) -> dict[str, Any]:
    return {
        "role": beat.role,
        "id": beat.id,
        "host": beat.host,
        "pid": beat.pid,
        "alive": beat.alive,
        "seconds_ago": beat.age,
        **{name: beat.fields.get(name) for name in _SHOWN},
    }
