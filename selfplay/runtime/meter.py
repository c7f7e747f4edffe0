"""Measures rates and shares of time, for screens and heartbeats."""

import collections
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

_WINDOW_SECONDS = 30.0


class Meter:
    """Counts events and the time spent in phases."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts counting now."""
        self._clock = clock
        self._begin = clock()
        self._totals: dict[str, float] = collections.defaultdict(float)
        self._points: collections.deque[tuple[float, dict[str, float]]] = collections.deque()
        self._points.append((self._begin, {}))

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._begin

    def count(self, **amounts: float) -> None:
        """Adds to named totals."""
        for name, amount in amounts.items():
            self._totals[name] += amount

    def mark(self) -> None:
        """Ends an interval; rates are taken over those of the last half minute."""
        now = self._clock()
        self._points.append((now, dict(self._totals)))
        while len(self._points) > 2 and now - self._points[1][0] > _WINDOW_SECONDS:
            self._points.popleft()

    def rate(self, name: str) -> float | None:
        """Returns a total's recent growth per second, None before there is any."""
        (begin, before), (end, after) = self._points[0], self._points[-1]
        if end <= begin or name not in after:
            return None
        return (after[name] - before.get(name, 0.0)) / (end - begin)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time inside the block to phase `name`."""
        begin = self._clock()
        try:
            yield
        finally:
            self._totals[f"phase {name}"] += self._clock() - begin

    def seconds_in(self, name: str) -> float:
        """Returns the seconds spent in a phase so far."""
        return self._totals[f"phase {name}"]

    def shares(self, names: tuple[str, ...]) -> Mapping[str, float]:
        """Returns shares of all time for `names`; the rest is under "other"."""
        total = max(self.elapsed, 1e-9)
        shares = {name: self.seconds_in(name) / total for name in names if name != "other"}
        return {**shares, "other": max(0.0, 1.0 - sum(shares.values()))}
