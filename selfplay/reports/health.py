"""The health of a run's processes, from their heartbeats, for probes."""

import dataclasses
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfplay.configuration import check_choice, check_range
from selfplay.errors import SelfplayError
from selfplay.run import Heartbeat, is_run, read_heartbeat, read_heartbeats
from selfplay.run.heartbeats import MAX_AGE_SECONDS
from selfplay.store.store import Store

ROLES = ("trainer", "worker", "evaluator", "reanalyzer", "any")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The answer to a probe.

    Attributes:
        healthy: whether at least one of the processes is healthy.
        text: one line for people.
        processes: one mapping for each: role, id, host, alive, ready, state, seconds_ago.
    """

    healthy: bool
    text: str
    processes: Sequence[dict[str, Any]]


def diagnose(
    run: Path | str,
    role: str,
    *,
    id: str | None = None,
    here: bool = False,
    ready: bool = False,
    max_age_seconds: float = MAX_AGE_SECONDS,
) -> Diagnosis:
    """Returns the health of the processes of a role.

    A process is healthy if its heartbeat is recent and, as far as this process can see, it still
    runs.

    Args:
        run: the run.
        role: one of `ROLES`.
        id: only the process of this id.
        here: only processes of this host, which in a container is the container.
        ready: a process must also be at work, not waiting for a run or for weights.
        max_age_seconds: of a heartbeat, in (0, 120].

    Raises:
        ConfigError: an unknown role, or an age out of range.
    """
    check_choice("ROLE", role, ROLES)
    check_range("--max-age", max_age_seconds, above=0, high=MAX_AGE_SECONDS)
    asked = _asked(role, id, here)
    try:
        # A path or a URL; stores accept both.
        if not is_run(Path(run)):
            return Diagnosis(healthy=False, text=f"{run} is not a selfplay run", processes=())
        beats = _read(Path(run), role, id)
    except SelfplayError as error:
        return Diagnosis(healthy=False, text=f"{run} cannot be read: {error}", processes=())
    rows = [
        _row(beat, max_age_seconds)
        for beat in beats
        if role in (beat.role, "any")
        and id in (beat.id, None)
        and (not here or beat.host == socket.gethostname())
    ]
    if not rows:
        return Diagnosis(healthy=False, text=f"no heartbeat of {asked} in {run}", processes=())
    well = [row for row in rows if row["alive"] and (row["ready"] or not ready)]
    # The text names the process with the newest heartbeat, if possible a healthy one.
    row = min(well or rows, key=lambda row: row["seconds_ago"])
    words = "well" if well else ("not ready" if row["alive"] else "dead or silent")
    state = f", {row['state']}" if row["state"] else ""
    text = f"{row['role']} {row['id']} is {words}{state}, heard of {row['seconds_ago']:.0f} s ago"
    if len(rows) > 1:
        text = f"{len(well)} of {len(rows)} processes are well: {text}"
    return Diagnosis(healthy=bool(well), text=text, processes=rows)


def _read(run: Path | Store, role: str, id: str | None) -> list[Heartbeat]:
    """Returns the heartbeats that may be asked for, with as few requests as possible."""
    if id is None or role == "any":
        return read_heartbeats(run, role="" if role == "any" else role)
    # Every worker of a fleet is probed again and again.
    beat = read_heartbeat(run, role, id, store_time=True)
    return [] if beat is None else [beat]


def _asked(role: str, id: str | None, here: bool) -> str:
    name = f"any {'process' if role == 'any' else role}" if id is None else f"{role} {id}"
    return f"{name} on {socket.gethostname()}" if here else name


def _row(beat: Heartbeat, max_age_seconds: float) -> dict[str, Any]:
    return {
        "role": beat.role,
        "id": beat.id,
        "host": beat.host,
        "alive": beat.alive and beat.age <= max_age_seconds,
        "ready": bool(beat.fields.get("ready", True)),
        "state": str(beat.fields.get("state", "")),
        "seconds_ago": beat.age,
    }
