"""Threads for calls of rules, files and engines, which would block the event loop."""

import asyncio
import collections
import concurrent.futures
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from selfplay.serve.errors import RequestError

T = TypeVar("T")

_MOST_CALLS = 512


class Tasks:
    """Tasks of the event loop that run in the background."""

    def __init__(self) -> None:
        """Starts none yet."""
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts a task and keeps it, because the event loop itself does not."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finish(self) -> None:
        """Waits until the tasks that have been started are done."""
        await asyncio.gather(*self._running, return_exceptions=True)


class Threads:
    """Makes slow calls on threads.

    Each game has its own thread for its rules: while the rules of one are compiled, others answer.
    """

    def __init__(self) -> None:
        """Starts no thread yet."""
        self._files = concurrent.futures.ThreadPoolExecutor(4, "files")
        self._engines = concurrent.futures.ThreadPoolExecutor(8, "engines")
        self._rules: dict[str, concurrent.futures.ThreadPoolExecutor] = {}
        self._lock = threading.Lock()
        self._waiting: collections.Counter[concurrent.futures.Executor] = collections.Counter()

    async def by_rules(self, game: str, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Returns the result of a call that uses the rules of a game.

        Args:
            game: its identifier, of a game that is served.
            call: the function to call.
            arguments: its positional arguments.
            named: its keyword arguments.

        Raises:
            RequestError: too many calls are waiting (429).
        """
        with self._lock:
            if game not in self._rules:
                self._rules[game] = concurrent.futures.ThreadPoolExecutor(1, f"rules of {game}")
            pool = self._rules[game]
        return await self._on(pool, functools.partial(call, *arguments, **named))

    async def by_files(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Returns the result of a call that reads files or makes a game."""
        return await self._on(self._files, functools.partial(call, *arguments, **named))

    async def by_engines(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Returns the result of a call that waits for the program of an engine."""
        return await self._on(self._engines, functools.partial(call, *arguments, **named))

    def close(self) -> None:
        """Ends the threads without waiting for calls in progress."""
        for pool in (*self._rules.values(), self._files, self._engines):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _on(self, pool: concurrent.futures.ThreadPoolExecutor, call: Callable[[], T]) -> T:
        if self._waiting[pool] >= _MOST_CALLS:
            raise RequestError(
                f"{self._waiting[pool]} requests are waiting already",
                hint="ask again later",
                status=429,
                retry_after=1,
            )
        self._waiting[pool] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, call)
        finally:
            self._waiting[pool] -= 1
