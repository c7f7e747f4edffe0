"""The training log: the files that a run learnt from, in order, and the updates between them.

Each checkpoint comes with a segment of the log, a file under `RUN/ledger`. The log and the files of
matches determine every checkpoint: `selfplay.reports.rerun` makes them again.
"""

import json
from typing import Any, NamedTuple

from selfplay.errors import RunError
from selfplay.run import RunDirectory
from selfplay.run.storage_limit import TRAINING_LOG


class Take(NamedTuple):
    """A file of matches was taken in."""

    worker: str
    sequence: int


class Renew(NamedTuple):
    """A file of matches that were searched again was taken in."""

    worker: str
    sequence: int


class Learn(NamedTuple):
    """Updates were made, when this share of the planned time had passed."""

    updates: int
    time_share: float


Event = Take | Renew | Learn

_NAMES: dict[type[Event], str] = {Take: "take", Renew: "renew", Learn: "learn"}


class TrainingLog:
    """Collects the events between two checkpoints, in order, and writes them as a segment."""

    def __init__(self, run: RunDirectory) -> None:
        """Starts with nothing."""
        self._run = run
        self._events: list[Event] = []

    def take(self, worker: str, sequence: int) -> None:
        """Records that a file was taken in."""
        self._events.append(Take(worker, sequence))

    def renew(self, worker: str, sequence: int) -> None:
        """Records that a file of matches that were searched again was taken in."""
        self._events.append(Renew(worker, sequence))

    def learn(self, updates: int, time_share: float) -> None:
        """Records updates; successive ones with the same time share become one entry."""
        last = self._events[-1] if self._events else None
        if isinstance(last, Learn) and last.time_share == time_share:
            self._events[-1] = Learn(last.updates + updates, time_share)
        else:
            self._events.append(Learn(updates, time_share))

    def write(self, segment: int, *, previous: int | None, update: int) -> None:
        """Stores the events as segment number `segment` and starts the next.

        Args:
            segment: its number. A segment of that number was left by a session that was killed
                before its checkpoint was complete, and is replaced.
            previous: update of the checkpoint before, None for the first.
            update: of the checkpoint that is about to be written.

        Raises:
            StorageError: the disk is full or refuses the write.
        """
        document = {
            "previous": previous,
            "update": update,
            "config": self._run.config.to_dict(),
            "events": [[_NAMES[type(event)], *event] for event in self._events],
        }
        self._run.store.write(segment_name(segment), json.dumps(document).encode() + b"\n")
        self._events = []


def segment_name(segment: int) -> str:
    """Returns the name of a segment in the run."""
    return f"{TRAINING_LOG}/{segment:08d}.json"


def read_segment(run: RunDirectory, segment: int) -> tuple[dict[str, Any], list[Event]]:
    """Returns the settings in force during a segment, by section, and its events.

    Raises:
        RunError: it is missing or damaged.
    """
    name = segment_name(segment)
    try:
        document = json.loads(run.store.read(name))
        events = [_event(*event) for event in document["events"]]
        return dict(document["config"]), events
    except FileNotFoundError:
        raise RunError(
            f"{run.url} has no {name}",
            hint="storage.max_bytes removes the oldest ones first: begin at a later checkpoint",
        ) from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RunError(f"{name} of {run.url} is damaged: {error}") from None


def _event(kind: str, first: Any, second: Any) -> Event:
    """Returns an event from its entry in a segment."""
    if kind == _NAMES[Learn]:
        return Learn(int(first), float(second))
    return (Renew if kind == _NAMES[Renew] else Take)(str(first), int(second))
