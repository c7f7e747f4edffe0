"""The thread that searches: what goes together, what is refused, what waits for compiling."""

import concurrent.futures
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from selfplay.arena import Analysis
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.play import LiveMatch
from selfplay.serve.analysis.agents import Thinker, budget_for
from selfplay.serve.analysis.searches import Searches
from selfplay.serve.errors import RequestError
from tests.arena.toys import first_legal

PATIENCE_SECONDS = 30.0


class Slow(Thinker):
    """Answers when it is let; notes how many positions it was asked about at once."""

    def __init__(self) -> None:
        super().__init__("slow", "slow", "mcts", simulations=8)
        self.batches: list[tuple[int, int]] = []
        self.prepared: list[tuple[int, int]] = []
        self.go = threading.Semaphore(0)
        self.compile = threading.Semaphore(1000)
        self.started = threading.Semaphore(0)
        self.fault: BaseException | None = None
        self._agent = first_legal(TicTacToe())

    def prepare(self, simulations: int, size: int) -> None:
        assert self.compile.acquire(timeout=PATIENCE_SECONDS)
        if self.fault is not None:
            raise self.fault
        self.prepared.append((simulations, size))

    def think(
        self, matches: Sequence[LiveMatch], *, simulations: int, size: int, seed: int
    ) -> list[Analysis]:
        self.started.release()
        assert self.go.acquire(timeout=PATIENCE_SECONDS)
        if self.fault is not None:
            raise self.fault
        self.batches.append((len(matches), size))
        policy = [0.0] * 9
        import numpy as np

        return [Analysis(action=0, policy=np.array(policy, np.float32)) for _ in matches]


@pytest.fixture
def searches() -> Iterator[Searches]:
    searches = Searches(sizes=(1, 4), most_waiting=8)
    yield searches
    searches.close()


@pytest.fixture(scope="module")
def match() -> LiveMatch:
    return LiveMatch(TicTacToe())


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def results(futures: Sequence["concurrent.futures.Future[Any]"]) -> list[Any]:
    return [future.result(timeout=PATIENCE_SECONDS) for future in futures]


def test_those_who_wait_are_searched_together(searches: Searches, match: LiveMatch) -> None:
    agent = Slow()
    first = searches.submit(agent, match, simulations=8)
    assert agent.started.acquire(timeout=PATIENCE_SECONDS)
    others = [searches.submit(agent, match, simulations=8) for _ in range(6)]
    agent.go.release()
    # The batch is not compiled yet: meanwhile they are served one by one.
    until(lambda: searches.is_ready(agent, 8, 4))
    agent.go.release(20)
    results([first, *others])
    assert sum(count for count, _ in agent.batches) == 7
    assert agent.batches[-1][1] in (1, 4) and (4, 4) in agent.batches
    assert searches.searched == 7 and searches.waiting == 0


def test_nobody_waits_for_a_batch_to_fill(searches: Searches, match: LiveMatch) -> None:
    agent = Slow()
    agent.go.release(1000)
    # Until the batch is compiled for later.
    while not searches.is_ready(agent, 8, 4):
        results([searches.submit(agent, match, simulations=8) for _ in range(4)])
    agent.batches.clear()
    for _ in range(5):
        results([searches.submit(agent, match, simulations=8)])
    assert agent.batches == [(1, 1)] * 5


def test_batches_that_are_slower_than_one_after_the_other_are_given_up(match: LiveMatch) -> None:
    # By this clock four at once take ten times as long as one.
    class Costly(Slow):
        def think(self, matches: Sequence[LiveMatch], *, size: int, **others: Any) -> Any:
            found = super().think(matches, size=size, **others)
            now[0] += 10.0 if size == 4 else 1.0
            return found

    def four() -> list[int]:
        """Returns the sizes of the batches in which four that wait together are searched."""
        blocker = Slow()
        blocked = searches.submit(blocker, match, simulations=16)
        assert blocker.started.acquire(timeout=PATIENCE_SECONDS)
        agent.batches.clear()
        asked = [searches.submit(agent, match, simulations=8) for _ in range(4)]
        blocker.go.release()
        results([blocked, *asked])
        return [size for _, size in agent.batches]

    now = [0.0]
    searches = Searches(sizes=(1, 4), clock=lambda: now[0])
    try:
        agent = Costly()
        agent.go.release(1000)
        results([searches.submit(agent, match, simulations=8)])
        assert four() == [1, 1, 1, 1]  # The batch is not compiled yet.
        until(lambda: searches.is_ready(agent, 8, 4))
        assert four() == [4]
        assert four() == [1, 1, 1, 1]
        # It may have been slow because the machine was busy: some time later it is tried again.
        assert any(four() == [4] for _ in range(60))
    finally:
        searches.close()


def test_budgets_are_not_mixed(searches: Searches, match: LiveMatch) -> None:
    agent = Slow()
    agent.go.release(20)
    asked = [searches.submit(agent, match, simulations=budget) for budget in (8, 16, 8, 16)]
    results(asked)
    assert {size for _, size in agent.batches} <= {1, 4}
    assert {simulations for simulations, _ in agent.prepared} == {8, 16}


def test_what_is_not_compiled_holds_nobody_up(searches: Searches, match: LiveMatch) -> None:
    quick, slow = Slow(), Slow()
    quick.go.release(1)
    results([searches.submit(quick, match, simulations=8)])
    slow.compile = threading.Semaphore(0)
    slow.go.release(1)
    stuck = searches.submit(slow, match, simulations=8)
    quick.go.release(1)
    results([searches.submit(quick, match, simulations=8)])
    assert not stuck.done()
    slow.compile.release()
    results([stuck])


def test_too_many_are_refused_with_a_time_to_come_back(
    searches: Searches, match: LiveMatch
) -> None:
    agent = Slow()
    running = searches.submit(agent, match, simulations=8)
    assert agent.started.acquire(timeout=PATIENCE_SECONDS)
    waiting = [searches.submit(agent, match, simulations=8) for _ in range(8)]
    with pytest.raises(RequestError, match="8 searches are waiting already") as caught:
        searches.submit(agent, match, simulations=8)
    assert caught.value.status == 429 and (caught.value.retry_after or 0) >= 1
    agent.go.release(20)
    results([running, *waiting])
    results([searches.submit(agent, match, simulations=8)])


def test_whoever_has_gone_is_not_searched_for(searches: Searches, match: LiveMatch) -> None:
    agent = Slow()
    running = searches.submit(agent, match, simulations=8)
    assert agent.started.acquire(timeout=PATIENCE_SECONDS)
    gone = searches.submit(agent, match, simulations=8)
    assert gone.cancel()
    last = searches.submit(agent, match, simulations=8)
    agent.go.release(5)
    results([running, last])
    assert sum(count for count, _ in agent.batches) == 2


@pytest.mark.parametrize("during", ["prepare", "think"])
def test_a_failure_reaches_whoever_asked_and_nobody_else(
    searches: Searches, match: LiveMatch, during: str
) -> None:
    broken, sound = Slow(), Slow()
    if during == "think":
        broken.go.release(1)
        results([searches.submit(broken, match, simulations=8)])
    broken.fault = ValueError("out of memory")
    broken.go.release(5)
    sound.go.release(5)
    with pytest.raises(ValueError, match="out of memory"):
        results([searches.submit(broken, match, simulations=8)])
    results([searches.submit(sound, match, simulations=8)])
    broken.fault = None
    results([searches.submit(broken, match, simulations=8)])


def test_budgets() -> None:
    assert [budget_for(n) for n in (0, 1, 2, 3, 200, 201, 10**6)] == [0, 2, 2, 8, 200, 256, 8192]
