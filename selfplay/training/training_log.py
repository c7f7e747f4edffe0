"""The ledger: which files a run learnt from, in which order, and how many updates in between.

It is written in segments, one with each checkpoint, under `RUN/ledger`. Together with the files of
matches it says how every checkpoint came to be: `selfplay.reports.rerun` makes them again.
"""

import json
from typing import Any, NamedTuple

from selfplay.errors import RunError
from selfplay.run import RunDirectory
from selfplay.run.retention import LEDGER


class Take(NamedTuple):
    """A file of matches was taken in."""

    worker: str
    sequence: int


class Learn(NamedTuple):
    """Updates were made, this share of the planned time into the run."""

    updates: int
    time_share: float


Event = Take | Learn


class TrainingLog:
    """What happened since the last checkpoint, in order."""

    def __init__(self, run: RunDirectory) -> None:
        """Starts with nothing."""
        self._run = run
        self._events: list[Event] = []

    def take(self, worker: str, sequence: int) -> None:
        """Notes that a file was taken in."""
        self._events.append(Take(worker, sequence))

    def learn(self, updates: int, time_share: float) -> None:
        """Notes updates; those in a row under the same plan become one entry."""
        last = self._events[-1] if self._events else None
        if isinstance(last, Learn) and last.time_share == time_share:
            self._events[-1] = Learn(last.updates + updates, time_share)
        else:
            self._events.append(Learn(updates, time_share))

    def write(self, segment: int, *, previous: int | None, update: int) -> None:
        """Stores the events as segment number `segment` and begins the next.

        Args:
            segment: what lies there under this number was written by a session that lost it.
            previous: update of the checkpoint before, None for the first.
            update: of the checkpoint that will be written next.

        Raises:
            StorageError: the disk is full or refuses the write.
        """
        document = {
            "previous": previous,
            "update": update,
            "config": self._run.config.to_dict(),
            "events": [["take" if isinstance(e, Take) else "learn", *e] for e in self._events],
        }
        self._run.store.write(segment_name(segment), json.dumps(document).encode() + b"\n")
        self._events = []


def segment_name(segment: int) -> str:
    """Returns where a segment lies in the run."""
    return f"{LEDGER}/{segment:08d}.json"


def read_segment(run: RunDirectory, segment: int) -> tuple[dict[str, Any], list[Event]]:
    """Returns the settings in force during a segment, by section, and its events.

    Raises:
        RunError: it is missing or damaged.
    """
    name = segment_name(segment)
    try:
        document = json.loads(run.store.read(name))
        events: list[Event] = [
            Take(str(rest[0]), int(rest[1]))
            if kind == "take"
            else Learn(int(rest[0]), float(rest[1]))
            for kind, *rest in document["events"]
        ]
        return dict(document["config"]), events
    except FileNotFoundError:
        raise RunError(
            f"{run.url} has no {name}",
            hint="storage.max_bytes removes the oldest parts first: begin at a later checkpoint",
        ) from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RunError(f"{name} of {run.url} is damaged: {error}") from None
