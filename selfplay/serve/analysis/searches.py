"""One thread that owns the device: searches of all visitors, as many as fit in one call."""

import collections
import concurrent.futures
import dataclasses
import math
import threading
import time
from collections.abc import Callable

from selfplay.arena import Analysis
from selfplay.play import LiveMatch
from selfplay.serve.analysis.agents import SIZES, Thinker
from selfplay.serve.errors import RequestError

MOST_WAITING = 128
"""Searches that may wait; more are refused."""

_FIRST_GUESS_SECONDS = 0.2
_SMOOTHING = 0.2
_FORGETTING = 0.97


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        analysis: of the position.
        seconds: that the search took, waiting and compiling left out.
        batch: how many positions it was searched with.
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
        """What may be searched together: the same weights, the same budget."""
        return self.agent, self.simulations


class Searches:
    """Runs searches for whoever asks, on a thread of its own, oldest first.

    Nobody waits for a batch to fill: a search begins as soon as the thread is free. Those that have
    come meanwhile for the same agent and budget are searched together, unless batches of that size
    have turned out slower here than one search after the other. What is not compiled yet is
    compiled on a second thread: meanwhile others are served, and where a single search is ready but
    the batch is not, one after the other.
    """

    def __init__(
        self,
        *,
        sizes: tuple[int, ...] = SIZES,
        most_waiting: int = MOST_WAITING,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Starts the two threads.

        Args:
            sizes: of batches, ascending, the first of them 1.
            most_waiting: more are refused.
            clock: seconds.
        """
        self._sizes = sizes
        self._most_waiting = most_waiting
        self._clock = clock
        self._waiting: collections.deque[_Asked] = collections.deque()
        self._changed = threading.Condition()
        self._ready: set[tuple[object, int, int]] = set()
        self._asked_for: set[tuple[object, int, int]] = set()
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
        """Asks for a search; the answer comes in the future, which may be cancelled.

        Args:
            agent: who thinks.
            match: the position, not over.
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
        """Returns whether such a search is compiled."""
        return (agent.compiled, simulations, size) in self._ready

    def warm(self, agent: Thinker, simulations: int) -> None:
        """Has a search compiled, for whoever asks for it later."""
        with self._changed:
            self._compile((agent, simulations), self._sizes[0])

    @property
    def waiting(self) -> int:
        """Searches that wait now."""
        return len(self._waiting)

    @property
    def compiling(self) -> int:
        """Programs that are being compiled, or wait for it."""
        return len(self._asked_for) - len(self._ready)

    def seconds_for(self, agent: Thinker, simulations: int) -> float | None:
        """Returns how long one search took lately; None if there was none."""
        return self._taken(agent, simulations, self._sizes[0])

    def close(self) -> None:
        """Answers nothing any more."""
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
        """Sees to it that a program is compiled; the lock is held."""
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
        with self._changed:
            self._ready.add(key)
            self._changed.notify()

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
        """Takes the oldest searches whose program is compiled, and those that fit with them."""
        for first in self._waiting:
            agent, simulations = first.program
            if not self.is_ready(agent, simulations):
                continue
            together = [one for one in self._waiting if one.program == first.program]
            size = self._size_for(first.program, len(together))
            batch = together[:size]
            for one in batch:
                self._waiting.remove(one)
            batch = [one for one in batch if one.answer.set_running_or_notify_cancel()]
            return (batch, size) if batch else self._next()
        return [], 0

    def _size_for(self, program: tuple[Thinker, int], count: int) -> int:
        """Returns the size of the batch in which to search now, of `count` that wait."""
        agent, simulations = program
        best = self._sizes[0]
        for size in self._sizes[1:]:
            # Copies that fill a batch cost as much as positions: half of it must be wanted.
            if 2 * count <= size:
                break
            if not self.is_ready(agent, simulations, size):
                self._compile(program, size)
            elif self._pays(program, size, count, than=best):
                best = size
        return best

    def _pays(self, program: tuple[Thinker, int], size: int, count: int, *, than: int) -> bool:
        """Returns whether `count` positions take no longer in one batch than in smaller ones."""
        whole, part = self._taken(*program, size), self._taken(*program, than)
        if whole is None or part is None:
            return True  # To be found out.
        pays = whole <= part * math.ceil(min(count, size) / than)
        if not pays:
            # It was slow once, maybe because the machine was busy: after a while it is tried again.
            self._rates[self._rate_key(*program, size)] = whole * _FORGETTING
        return pays

    def _taken(self, agent: Thinker, simulations: int, size: int) -> float | None:
        """Returns how long a search of such a batch took lately, in seconds."""
        return self._rates.get(self._rate_key(agent, simulations, size))

    @staticmethod
    def _rate_key(agent: Thinker, simulations: int, size: int) -> tuple[str, int, int]:
        # All checkpoints of a run take as long.
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
        self.searched += len(batch)
        self.batches += 1
        for one, analysis in zip(batch, analyses, strict=True):
            one.answer.set_result(Found(analysis=analysis, seconds=seconds, batch=len(batch)))
