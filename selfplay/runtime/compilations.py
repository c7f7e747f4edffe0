"""Counts the compilations of JAX in this process: how many, how long, and which runs now."""

import collections
import threading
import weakref
from collections.abc import Iterable
from typing import Any

import jax

from selfplay.telemetry import Monitor

COMPILED_ONCE = ("play_chunk", "update_weights")
"""The large programs: a process should compile each of them once."""

_STAGES = "/jax/core/compile/"
"""What the names of the events of tracing, lowering and compiling begin with. JAX tells the
beginning of each as a scalar and its end as a duration."""
_EVENT = f"{_STAGES}backend_compile_duration"
_MOST_LISTED = 8


class _Totals:
    """Counts since the first session of this process, because JAX reports per process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: collections.Counter[str] = collections.Counter()
        self.seconds: dict[str, float] = collections.defaultdict(float)
        self.monitors: weakref.WeakSet[Monitor] = weakref.WeakSet()
        self._listens = False

    def listen(self) -> None:
        """Starts counting, once per process."""
        with self.lock:
            if self._listens:
                return
            self._listens = True
        jax.monitoring.register_scalar_listener(self._hear_begin)
        jax.monitoring.register_event_duration_secs_listener(self._hear_end)

    def watch(self, monitor: Monitor) -> None:
        """Reports all later compilations to a monitor, while the monitor exists."""
        self.listen()
        with self.lock:
            self.monitors.add(monitor)

    def _watching(self) -> list[Monitor]:
        with self.lock:
            return list(self.monitors)

    def _hear_begin(self, event: str, value: float | int, **facts: str | int) -> None:
        if event.startswith(_STAGES):
            for monitor in self._watching():
                monitor.compilation_begins((threading.get_ident(), event))

    def _hear_end(self, event: str, duration_secs: float, **facts: str | int) -> None:
        if event.startswith(_STAGES):
            for monitor in self._watching():
                monitor.compilation_ends((threading.get_ident(), event))
        if event != _EVENT:
            return
        name = str(facts.get("fun_name", "")).removeprefix("jit(").removesuffix(")")
        with self.lock:
            self.counts[name] += 1
            self.seconds[name] += duration_secs


_TOTALS = _Totals()


def watch_compilations(monitor: Monitor) -> None:
    """Reports to a monitor when JAX compiles, so that the process does not look hung."""
    _TOTALS.watch(monitor)


class Compilations:
    """Counts compilations by function from now on; programs from the cache count too."""

    def __init__(self, once: Iterable[str] = COMPILED_ONCE) -> None:
        """Begins to count.

        Args:
            once: functions that should be compiled only once.
        """
        _TOTALS.listen()
        with _TOTALS.lock:
            self._counts = collections.Counter(_TOTALS.counts)
            self._seconds = dict(_TOTALS.seconds)
        self._expected = dict.fromkeys(once, 1)
        self._said = dict(self._expected)

    def expect(self, name: str) -> None:
        """Allows one more compilation of a function, because there is a reason for it."""
        self._expected[name] += 1
        self._said[name] += 1

    @property
    def counts(self) -> dict[str, int]:
        """How often each function was compiled."""
        with _TOTALS.lock:
            return dict(_TOTALS.counts - self._counts)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of compilation, by function."""
        with _TOTALS.lock:
            return {
                name: _TOTALS.seconds[name] - self._seconds.get(name, 0.0)
                for name in _TOTALS.counts - self._counts
            }

    @property
    def problem(self) -> str:
        """The functions that were compiled more often than expected, in words; "" if none."""
        counts, seconds = self.counts, self.seconds
        return "; ".join(
            f"{name} was compiled {counts[name]} times instead of {expected}, "
            f"{seconds[name]:.1f} s in all: shapes, types or devices of what it is given change "
            "(JAX_EXPLAIN_CACHE_MISSES=1 says which)"
            for name, expected in self._expected.items()
            if counts.get(name, 0) > expected
        )

    def new_problem(self) -> str:
        """Returns `problem` if it has changed since the last call, else ""."""
        counts = {name: self.counts.get(name, 0) for name in self._expected}
        grown = [name for name, count in counts.items() if count > self._said[name]]
        self._said |= {name: counts[name] for name in grown}
        return self.problem if grown else ""

    def fields(self) -> dict[str, Any]:
        """Returns the counts for a heartbeat.

        Keys: `compilations` (how many), `compile_seconds`, `compiled` (count and seconds of the
        functions that took longest) and `compile_problem`.
        """
        counts, seconds = self.counts, self.seconds
        slowest = sorted(seconds, key=lambda name: -seconds[name])[:_MOST_LISTED]
        return {
            "compilations": sum(counts.values()),
            "compile_seconds": round(sum(seconds.values()), 3),
            "compiled": {
                name: {"count": counts[name], "seconds": round(seconds[name], 3)}
                for name in slowest
            },
            "compile_problem": self.problem,
        }
