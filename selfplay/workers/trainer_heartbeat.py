"""Reads the heartbeat of a run's trainer by name, once it has been found."""

import time
from collections.abc import Callable

from selfplay.run import Heartbeat, read_heartbeat, read_heartbeats
from selfplay.store import Store

_SEARCH_SECONDS = 30.0
"""A trainer that has said nothing new for so long may have been followed by another."""


class TrainerHeartbeat:
    """Reads the newest heartbeat of a run's trainer, usually with one request to the store.

    Every worker does so every few seconds; if each of N workers listed and read all heartbeats, the
    store would get N x N requests.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """Reads nothing yet.

        Args:
            store: of the run.
            clock: seconds, for tests.
        """
        self._store = store
        self._clock = clock
        self._known: Heartbeat | None = None
        self._changed_at = clock()

    def read(self) -> Heartbeat | None:
        """Returns the heartbeat of the trainer, None if there is none.

        If there are several trainers, dead ones included, it is the one with the newest heartbeat.

        Raises:
            StorageError: the store cannot be reached.
        """
        known = self._known
        beat = None if known is None else read_heartbeat(self._store, known.role, known.id)
        silent = self._clock() - self._changed_at >= _SEARCH_SECONDS
        if beat is None or (known is not None and beat.time == known.time and silent):
            beat = self._search()
            self._changed_at = self._clock()
        elif known is None or beat.time != known.time:
            self._changed_at = self._clock()
        self._known = beat
        return beat

    def _search(self) -> Heartbeat | None:
        beats = read_heartbeats(self._store, role="trainer")
        return min(beats, key=lambda one: one.age, default=None)
