"""Measures how soon a worker plays with new checkpoints."""

import collections
import statistics
import time
from collections.abc import Callable

_REMEMBERED = 1000


class PickupDelays:
    """Measures the time from the publication of a checkpoint to the first chunk played with it.

    The checkpoint that a worker starts with does not count, because it may be old.
    """

    def __init__(self, first: int, clock: Callable[[], float] = time.time) -> None:
        """Begins with none.

        Args:
            first: update of the checkpoint that the worker begins with.
            clock: the time of this host, in seconds since 1970.
        """
        self._clock = clock
        self._used = first
        self._begun: tuple[int, float] | None = None
        self._worst: float | None = None
        self._seconds: collections.deque[float] = collections.deque(maxlen=_REMEMBERED)

    def play(self, update: int) -> None:
        """Records that a chunk of self-play starts now, with the checkpoint of that update."""
        if update != self._used:
            self._used = update
            self._begun = (update, self._clock())

    def settle(self, published_at: tuple[int, float | None] | None) -> None:
        """Records when a checkpoint was published; see `TrainerWatch.published_at`."""
        if published_at is None or self._begun is None or published_at[0] != self._begun[0]:
            return
        when, begun = published_at[1], self._begun[1]
        self._begun = None
        if when is not None:
            # Buckets give whole seconds, so the difference may be below 0.
            seconds = max(0.0, begun - when)
            self._seconds.append(seconds)
            self._worst = max(seconds, self._worst or 0.0)

    def metrics(self) -> dict[str, float | None]:
        """Returns the newest, the median and the worst in seconds; None before the first."""
        return {
            "pickup_seconds": self._seconds[-1] if self._seconds else None,
            "median_pickup_seconds": statistics.median(self._seconds) if self._seconds else None,
            "worst_pickup_seconds": self._worst,
        }
