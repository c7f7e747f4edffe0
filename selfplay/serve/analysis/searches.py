"""Runs the searches of all visitors on one thread, in batches."""

import collections
import concurrent.futures
import dataclasses
import math
import threading
import time
from collections.abc import Callable

from selfplay.arena import Analysis
from selfplay.machine import available_memory, return_freed_memory
from selfplay.play import LiveMatch
from selfplay.serve.analysis.agents import SIZES, Programs, Thinker
from selfplay.serve.errors import RequestError

MOST_WAITING = 128
"""Searches that may wait; more are refused (429)."""

FEWEST_PROGRAMS = 4
MOST_PROGRAMS = 64
"""Limits of the number of compiled searches that are kept; `programs_for` chooses between them."""

_USUAL_PROGRAMS = 32
_PROGRAM_BYTES = 50_000_000
_PROGRAMS_SHARE = 0.25

_MOST_RATES = 512
_FIRST_GUESS_SECONDS = 0.2
_SMOOTHING = 0.2
_FORGETTING = 0.97


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """The result of a search.

    Attributes:
        analysis: the analysis of the position.
        seconds: duration of the search, without waiting and compiling.
        batch: number of positions that were searched together.
    """

    analysis: Analysis
    seconds: float
    batch: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Asked:
    agent: Thinker
    match: LiveMatch
    simulations: int
    seed: int
    answer: "concurrent.futures.Future[Found]"

    @property
    def program(self) -> tuple[Thinker, int]:
        """Searches with equal programs (weights and simulations) can share a batch."""
        return self.agent, self.simulations


_Key = tuple[Programs, int, int]
"""Names a program: what it was compiled for, its simulations, its batch size."""


def programs_for(memory: int | None) -> int:
    """Returns how many compiled searches may be kept in a quarter of the memory that is available.

    Args:
        memory: available bytes; None if the system does not say.
    """
    if memory is None:
        return _USUAL_PROGRAMS
    affordable = int(_PROGRAMS_SHARE * memory / _PROGRAM_BYTES)
    return max(FEWEST_PROGRAMS, min(MOST_PROGRAMS, affordable))


class Searches:
    """Runs searches on a thread of its own, oldest first.

    A search never waits for a batch to fill: it begins as soon as the thread is free. Searches that
    are already waiting for the same agent and number of simulations go together, unless batches of
    that size have been slower on this machine than single searches. A second thread compiles; until
    a program is ready, other searches run, and single searches replace a batch that is not ready.
    """

    def __init__(
        self,
        *,
        sizes: tuple[int, ...] = SIZES,
        most_waiting: int = MOST_WAITING,
        most_programs: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Starts the two threads.

        Args:
            sizes: batch sizes, ascending, the first 1.
            most_waiting: limit of waiting searches; more are refused.
            most_programs: limit of compiled programs; the least recently used ones are freed. By
                default as many as the memory that is available now suggests.
            clock: returns seconds.
        """
        self._sizes = sizes
        self._most_waiting = most_waiting
        if most_programs is None:
            most_programs = programs_for(available_memory())
        self._most_programs = most_programs
        self._clock = clock
        self._waiting: collections.deque[_Asked] = collections.deque()
        self._changed = threading.Condition()
        self._ready: collections.OrderedDict[_Key, None] = collections.OrderedDict()
        self._asked_for: set[_Key] = set()
        self._running: _Key | None = None
        self._mean_seconds = _FIRST_GUESS_SECONDS
        self._rates: dict[tuple[str, int, int], float] = {}
        self._closed = False
        self.searched = 0
        self.batches = 0
        self._compiler = concurrent.futures.ThreadPoolExecutor(1, "compile")
        self._thread = threading.Thread(target=self._run, name="searches", daemon=True)
        self._thread.start()

    def submit(
        self, agent: Thinker, match: LiveMatch, *, simulations: int, seed: int = 0
    ) -> "concurrent.futures.Future[Found]":
        """Queues a search and returns its result as a future, which may be cancelled.

        Args:
            agent: searches.
            match: not over; its last position is searched.
            simulations: one of `selfplay.serve.analysis.agents.BUDGETS`.
            seed: of the agent's random choices.

        Raises:
            RequestError: too many are waiting (429).
        """
        answer: concurrent.futures.Future[Found] = concurrent.futures.Future()
        asked = _Asked(agent=agent, match=match, simulations=simulations, seed=seed, answer=answer)
        with self._changed:
            if len(self._waiting) >= self._most_waiting:
                raise self._overload()
            self._waiting.append(asked)
            self._compile(asked.program, self._sizes[0])
            self._changed.notify()
        return answer

    def is_ready(self, agent: Thinker, simulations: int, size: int = 1) -> bool:
        """Returns whether such a search is compiled and can start at once."""
        return (agent.compiled, simulations, size) in self._ready

    def warm(self, agent: Thinker, simulations: int) -> None:
        """Compiles a search in advance."""
        with self._changed:
            self._compile((agent, simulations), self._sizes[0])

    @property
    def waiting(self) -> int:
        """Number of waiting searches."""
        return len(self._waiting)

    @property
    def compiling(self) -> int:
        """Number of programs that are being compiled or queued for it."""
        return len(self._asked_for) - len(self._ready)

    def seconds_for(self, agent: Thinker, simulations: int) -> float | None:
        """Returns the duration of the last single search; None if there was none."""
        return self._taken(agent, simulations, self._sizes[0])

    def close(self) -> None:
        """Ends the threads; searches that wait are not answered."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._compiler.shutdown(wait=False, cancel_futures=True)
        self._thread.join(timeout=5)

    def _overload(self) -> RequestError:
        seconds = self._mean_seconds * len(self._waiting)
        return RequestError(
            f"{len(self._waiting)} searches are waiting already",
            hint="ask again later, or for fewer simulations",
            status=429,
            retry_after=max(1, math.ceil(seconds)),
        )

    def _compile(self, program: tuple[Thinker, int], size: int) -> None:
        """Queues a program for compiling, once; the lock is held."""
        agent, simulations = program
        key = (agent.compiled, simulations, size)
        if key not in self._asked_for:
            self._asked_for.add(key)
            self._compiler.submit(self._prepare, agent, simulations, size)

    def _prepare(self, agent: Thinker, simulations: int, size: int) -> None:
        key = (agent.compiled, simulations, size)
        try:
            agent.prepare(simulations, size)
        except BaseException as error:
            with self._changed:
                self._asked_for.discard(key)
                agent.compiled.forget(simulations, size)
                stuck = [
                    one
                    for one in self._waiting
                    if size == self._sizes[0]
                    and (one.agent.compiled, one.simulations) == (agent.compiled, simulations)
                ]
                for one in stuck:
                    self._waiting.remove(one)
            for one in stuck:
                if one.answer.set_running_or_notify_cancel():
                    one.answer.set_exception(error)
            return
        # Compiling takes hundreds of megabytes for a moment.
        return_freed_memory()
        with self._changed:
            self._ready[key] = None
            self._drop_programs(key)
            self._changed.notify()

    def _drop_programs(self, newest: _Key) -> None:
        """Frees the programs that were unused the longest; the lock is held."""
        wanted = {(one.agent.compiled, one.simulations) for one in self._waiting}
        for key in list(self._ready):
            if len(self._ready) <= self._most_programs:
                return
            compiled, simulations, size = key
            if key in (newest, self._running) or (compiled, simulations) in wanted:
                continue
            del self._ready[key]
            self._asked_for.discard(key)
            compiled.forget(simulations, size)

    def _run(self) -> None:
        while True:
            with self._changed:
                batch, size = self._next()
                while not batch and not self._closed:
                    self._changed.wait()
                    batch, size = self._next()
                if self._closed:
                    return
            self._search(batch, size)

    def _next(self) -> tuple[list[_Asked], int]:
        """Takes the oldest search whose program is compiled, and those that can share its batch."""
        for first in self._waiting:
            agent, simulations = first.program
            if not self.is_ready(agent, simulations):
                continue
            together = [one for one in self._waiting if one.program == first.program]
            size = self._size_for(first.program, len(together))
            batch = together[:size]
            for one in batch:
                self._waiting.remove(one)
            self._running = (agent.compiled, simulations, size)
            self._ready.move_to_end(self._running)
            batch = [one for one in batch if one.answer.set_running_or_notify_cancel()]
            return (batch, size) if batch else self._next()
        return [], 0

    def _size_for(self, program: tuple[Thinker, int], count: int) -> int:
        """Returns the batch size to use now that `count` searches wait for a program."""
        agent, simulations = program
        best = self._sizes[0]
        for size in self._sizes[1:]:
            # Padding costs as much as positions, so a batch must be more than half full.
            if 2 * count <= size:
                break
            if not self.is_ready(agent, simulations, size):
                self._compile(program, size)
            elif self._pays(program, size, count, than=best):
                best = size
        return best

    def _pays(self, program: tuple[Thinker, int], size: int, count: int, *, than: int) -> bool:
        """Returns whether `count` positions are as quick in one batch as in smaller ones."""
        whole, part = self._taken(*program, size), self._taken(*program, than)
        if whole is None or part is None:
            return True  # Not measured yet.
        pays = whole <= part * math.ceil(min(count, size) / than)
        if not pays:
            # Maybe the machine was busy: after a while the batch is tried again.
            self._rates[self._rate_key(*program, size)] = whole * _FORGETTING
        return pays

    def _taken(self, agent: Thinker, simulations: int, size: int) -> float | None:
        """Returns the seconds that the last search of such a batch took."""
        return self._rates.get(self._rate_key(agent, simulations, size))

    @staticmethod
    def _rate_key(agent: Thinker, simulations: int, size: int) -> tuple[str, int, int]:
        # All checkpoints of a run take equally long.
        return agent.id.partition("@")[0], simulations, size

    def _search(self, batch: list[_Asked], size: int) -> None:
        first = batch[0]
        begin = self._clock()
        try:
            analyses = first.agent.think(
                [one.match for one in batch],
                simulations=first.simulations,
                size=size,
                seed=first.seed,
            )
        except BaseException as error:
            for one in batch:
                one.answer.set_exception(error)
            return
        seconds = self._clock() - begin
        self._mean_seconds += _SMOOTHING * (seconds / len(batch) - self._mean_seconds)
        self._rates[self._rate_key(*first.program, size)] = seconds
        if len(self._rates) > _MOST_RATES:
            del self._rates[next(iter(self._rates))]
        self.searched += len(batch)
        self.batches += 1
        for one, analysis in zip(batch, analyses, strict=True):
            one.answer.set_result(Found(analysis=analysis, seconds=seconds, batch=len(batch)))
