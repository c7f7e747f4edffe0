"""Stops processes of a run at the request of visitors (`--allow-control`)."""

from collections.abc import Mapping
from typing import Any

from selfplay.errors import RunError
from selfplay.run import ask_to_stop, read_heartbeats
from selfplay.serve import bodies
from selfplay.serve.errors import RequestError, not_found
from selfplay.serve.served import ServedRun

STOP_KEYS = ("role", "id")
_ROLES = ("trainer", "worker", "evaluator", "reanalyzer")


def stop_process(run: ServedRun, body: Mapping[str, Any]) -> dict[str, Any]:
    """Asks a process of a run to save its data and end, which it does within seconds.

    Args:
        run: the run.
        body: the request, with `role` and `id` of the process.

    Returns:
        The process that was asked: `role`, `id`, `pid` and `host`.

    Raises:
        RequestError: a key is missing or wrong (422), there is no such process (404), or it has
            ended or its version of selfplay does not support this (409).
    """
    bodies.refuse_unknown(body, STOP_KEYS)
    role, id = bodies.choice(body, "role", _ROLES), bodies.text(body, "id")
    for name, value in (("role", role), ("id", id)):
        if value is None:
            raise RequestError(f"{name} is missing", place=name)
    store = run.directory.store
    beats = read_heartbeats(store, role=str(role))
    beat = next((beat for beat in beats if beat.id == id), None)
    if beat is None:
        raise not_found(f"{role} {id!r} of {run.id}", f"/api/v1/runs/{run.id}/status lists them")
    try:
        ask_to_stop(store, beat)
    except RunError as error:
        raise RequestError(str(error), hint=error.hint, status=409) from error
    return {"role": beat.role, "id": beat.id, "pid": beat.pid, "host": beat.host}
