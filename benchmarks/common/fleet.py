"""A fleet that is cheap to simulate: workers and a trainer that only do what burdens the store.

They use the code of real processes for it: `TrainerWatch`, heartbeats, requests to stop, files of
matches, checkpoints. No match is played and nothing is learnt.
"""

import dataclasses
import functools
import heapq
import queue
import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

import jax
import numpy as np

from selfplay.networks import Network, build_network
from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory, is_asked_to_stop, write_heartbeat
from selfplay.run.pace import USUAL_BEAT_SECONDS, beat_seconds, file_seconds
from selfplay.settings import Config
from selfplay.store.place import Place
from selfplay.store.store import Listener, Store
from selfplay.workers.trainer_watch import TrainerWatch, load_published

SPEC = GameSpec("tic_tac_toe")
_TRAINER_SECONDS = 0.5
"""From one look of a trainer for new files to the next."""
_FILES_AT_ONCE = 32
_NOTICE_SECONDS = 60.0
"""How long a thread waits for a notice before it begins to wait again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """What a fleet does.

    Attributes:
        file_seconds: from one file of matches of a worker to its next; 0 for as many as it can. In
            a large fleet a worker gathers several of them in one, as real ones do.
        file_bytes: size of a file, before it is gathered with others.
        checkpoint_seconds: from one checkpoint to the next.
        weights: numbers in a checkpoint, of 4 bytes each.
    """

    file_seconds: float = 2.0
    file_bytes: int = 5_000
    checkpoint_seconds: float = 60.0
    weights: int = 25_000


class Process(Protocol):
    """A simulated process."""

    def step(self) -> float:
        """Does what is due; returns the seconds until something is due again."""
        ...


@functools.cache
def network() -> Network:
    """Returns the network of the run."""
    return build_network(make(SPEC.spec), Config().network)


def create(place: Place | Store, load: Load) -> RunDirectory:
    """Makes a run with a first checkpoint."""
    run = RunDirectory.create(place, SPEC, make(SPEC.spec), Config())
    run.checkpoints.save(0, _items(load))
    return run


@functools.cache
def _weights() -> Any:
    return network().init(key=jax.random.key(0))


def _items(load: Load) -> dict[str, Any]:
    return {"weights": {**_weights(), "ballast": random_numbers(load.weights)}}


@functools.cache
def random_numbers(numbers: int) -> np.ndarray:
    """Returns weights that cannot be compressed, as those of a network."""
    return np.random.default_rng(0).standard_normal(numbers, np.float32)


class SimulatedTrainer:
    """Takes in files, publishes checkpoints, writes heartbeats.

    Attributes:
        files: how many were taken in; one for each of those that were gathered.
        published: by update, when the checkpoint was complete.
    """

    def __init__(self, run: RunDirectory, load: Load, clock: Callable[[], float]) -> None:
        """Asks nothing yet.

        Args:
            run: made by `create`, or opened again by another process.
            load: what to do.
            clock: seconds.
        """
        self.files = 0
        self.published: dict[int, float] = {}
        self._run = run
        self._files = type(run.matches)(run.store, clock=clock)
        self._load = load
        self._clock = clock
        self._cursor: dict[str, int] = {}
        self._update = 0
        self._beat_at = clock()
        self._save_at = clock() + load.checkpoint_seconds

    def step(self) -> float:
        if self._clock() >= self._save_at:
            self._save_at += self._load.checkpoint_seconds
            self._update += 1
            self._run.checkpoints.save(self._update, _items(self._load))
            self.published[self._update] = self._clock()
            self._beat()
            self._run.checkpoints.prune(keep_last=10)
        if self._clock() >= self._beat_at:
            self._beat_at = self._clock() + USUAL_BEAT_SECONDS
            self._beat()
        found = self._files.after(self._cursor, _FILES_AT_ONCE)
        self._files.prefetch(found)
        for worker, number in found:
            data = self._files.get_encoded(worker, number)
            self.files += len(data) // self._load.file_bytes
            self._cursor[worker] = number + 1
        # A full answer means that there is more.
        return 0.01 if len(found) == _FILES_AT_ONCE else _TRAINER_SECONDS

    def _beat(self) -> None:
        fields = {
            "newest_checkpoint": self._update,
            "backlog_positions": 0,
            "workers": self._files.workers_at_work,
        }
        write_heartbeat(self._run.store, "trainer", "loop", fields)


class SimulatedWorker:
    """Stores files, picks up checkpoints, writes heartbeats.

    Attributes:
        files: how many were stored; one for each of those that were gathered.
        picked_up: update of each checkpoint it has loaded, and when.
    """

    def __init__(
        self, run: RunDirectory, id: str, load: Load, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Joins the run.

        Args:
            run: opened for this worker.
            id: its name.
            load: what to do.
            clock: seconds.
        """
        self.files = self._sequence = self._gathered = 0
        self.picked_up: list[tuple[int, float]] = []
        self._run = run
        self._id = id
        self._load = load
        self._clock = clock
        self._data = np.random.default_rng(0).bytes(load.file_bytes)
        first = run.checkpoints.read_latest(lambda update: load_published(run, update, network()))
        if first is None:
            raise RuntimeError("the run has no checkpoint")
        self._watch = TrainerWatch(run, network(), first, id=id, clock=clock)
        self._used = first.update
        # Workers of a fleet do not work in step.
        self._store_at = clock() + random.uniform(0, load.file_seconds)
        self._gathered_since = clock()
        self._beat_at = clock() + random.uniform(0, USUAL_BEAT_SECONDS)

    def step(self) -> float:
        self._watch.step()
        if self._watch.newest.update != self._used:
            self._used = self._watch.newest.update
            self.picked_up.append((self._used, self._clock()))
        if self._clock() >= self._store_at:
            self._store_at = max(self._store_at + self._load.file_seconds, self._clock())
            self._gathered_since = self._gathered_since if self._gathered else self._clock()
            self._gathered += 1
            # `Load.file_seconds` of 0 asks for what the store can take, not for what workers do.
            pause = file_seconds(self._watch.workers) if self._load.file_seconds else 0.0
            if self._clock() - self._gathered_since >= pause:
                self._run.matches.put_encoded(self._id, self._sequence, self._data * self._gathered)
                self._sequence += 1
                self.files += self._gathered
                self._gathered = 0
        if self._clock() >= self._beat_at:
            pause = beat_seconds(self._watch.workers)
            self._beat_at = self._clock() + pause
            fields = {"checkpoint": self._used, "pause_seconds": pause}
            write_heartbeat(self._run.store, "worker", self._id, fields)
            is_asked_to_stop(self._run.store, "worker", self._id, "session")
        return self.seconds_left

    @property
    def seconds_left(self) -> float:
        """Seconds until something is due."""
        due = min(self._store_at, self._beat_at) - self._clock()
        return max(0.0, min(due, self._watch.seconds_left))

    def listen(self, wake: Callable[[], None]) -> None:
        """Calls `wake` from a thread after each notice of a checkpoint, where the store gives any.

        Real workers wait for notices in such a thread, too.
        """
        notices = self._run.checkpoints.listen()
        if type(notices) is not Listener:
            threading.Thread(target=self._follow, args=(notices, wake), daemon=True).start()

    def _follow(self, notices: Listener, wake: Callable[[], None]) -> None:
        while True:
            if notices.wait(_NOTICE_SECONDS):
                self._watch.notice()
                wake()


class SimulatedTime:
    """A clock that `run_in_turn` moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run_in_turn(processes: Sequence[Process], clock: SimulatedTime, seconds: float) -> None:
    """Runs processes for a simulated time, in which requests to the store take none."""
    due = [(clock.now, index) for index in range(len(processes))]
    end = clock.now + seconds
    while due and due[0][0] <= end:
        clock.now, index = heapq.heappop(due)
        heapq.heappush(due, (clock.now + max(processes[index].step(), 1e-3), index))
    clock.now = end


def run_at_once(processes: Sequence[Process], until: float, threads: int = 32) -> None:
    """Runs processes until `until` by the monotonic clock, so many of them at one time."""
    woken: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index, process in enumerate(processes):
        if isinstance(process, SimulatedWorker):
            process.listen(functools.partial(woken.put, index))
    # What a notice brought forward is in the queue twice; `due_at` says which entry holds.
    due_at = [time.monotonic()] * len(processes)
    due = [(at, index) for index, at in enumerate(due_at)]
    busy: dict[Future[float], int] = {}

    def begin_at(index: int, seconds: float) -> None:
        due_at[index] = time.monotonic() + seconds
        heapq.heappush(due, (due_at[index], index))

    with ThreadPoolExecutor(threads) as pool:
        while (now := time.monotonic()) < until:
            for index in [woken.get() for _ in range(woken.qsize())]:
                process = processes[index]
                if index in busy.values():
                    woken.put(index)
                elif isinstance(process, SimulatedWorker):
                    begin_at(index, process.seconds_left)
            while due and due[0][0] <= now and len(busy) < threads:
                at, index = heapq.heappop(due)
                if at == due_at[index]:
                    due_at[index] = float("inf")
                    busy[pool.submit(processes[index].step)] = index
            left = max(0.001, min(until, due[0][0] if due else until) - now)
            if len(busy) == threads or (busy and left > 0.01):
                done, _ = wait(busy, timeout=left, return_when=FIRST_COMPLETED)
            else:
                time.sleep(min(left, 0.01))
                done = {one for one in busy if one.done()}
            for one in done:
                begin_at(busy.pop(one), one.result())


def delays(
    published: dict[int, float], picked_up: Sequence[tuple[int, float]]
) -> tuple[float, float]:
    """Returns the median and the worst seconds from publication to weights; NaN without any."""
    found = [max(0.0, at - published[update]) for update, at in picked_up if update in published]
    return (statistics.median(found), max(found)) if found else (float("nan"), float("nan"))
