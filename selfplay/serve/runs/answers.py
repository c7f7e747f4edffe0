"""The answers of the API about runs: their matches, their training, events, and stopping them."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from selfplay.errors import SelfplayError
from selfplay.serve.analysis.searches import Searches
from selfplay.serve.bodies import read_object
from selfplay.serve.errors import RequestError, in_words
from selfplay.serve.library import Library
from selfplay.serve.recent import Recent
from selfplay.serve.runs.control import stop_process
from selfplay.serve.runs.feed import Feeds
from selfplay.serve.runs.matches import RunMatches, read_match
from selfplay.serve.runs.remembered import Remembered
from selfplay.serve.runs.surprises import add_surprises
from selfplay.serve.served import ServedRun, unreadable_run
from selfplay.serve.threads import Tasks, Threads

Answer = Callable[[Request], Awaitable[Response]]

_OPINION_SECONDS = 1.5
"""How long a recorded match waits for the network's own policies; the page asks again for them."""

_COUNT_PAUSE_SECONDS = 0.05
_NEWEST_MATCHES = 50
_KEPT_RUNS = 16
"""Runs whose lists of matches are in memory at once."""


class RunAnswers:
    """Answers requests about runs."""

    def __init__(
        self, library: Library, searches: Searches, threads: Threads, *, allow_control: bool
    ) -> None:
        """Reads nothing yet.

        Args:
            library: the runs.
            searches: evaluate positions of recorded matches.
            threads: read files and call rules.
            allow_control: whether visitors may stop the processes of a run.
        """
        self._library = library
        self._searches = searches
        self._threads = threads
        self._allow_control = allow_control
        self._remembered = Remembered()
        self._matches: Recent[str, RunMatches] = Recent(_KEPT_RUNS)
        self._matches_lock = threading.Lock()
        self._counting: set[str] = set()
        self._tasks = Tasks()
        self.feeds = Feeds(self._look)

    def get_addresses(self) -> dict[str, Answer]:
        """Returns the answers to GET, by address."""
        return {
            "/api/v1/runs": self.runs,
            "/api/v1/runs/{run}/checkpoints": self.checkpoints,
            "/api/v1/runs/{run}/matches": self.matches,
            "/api/v1/runs/{run}/matches/{match}": self.match,
            "/api/v1/runs/{run}/status": self.status,
            "/api/v1/runs/{run}/training": self.training,
            "/api/v1/runs/{run}/events": self.events,
        }

    def post_addresses(self) -> dict[str, Answer]:
        """Returns the answers to POST, by address."""
        return {"/api/v1/runs/{run}/stop": self.stop}

    def list_runs(self) -> list[dict[str, Any]]:
        """Returns what a page is told of the runs; reads files."""
        found = []
        for run in self._library.runs():
            try:
                found.append(run.to_dict(self._library.game_of(run)))
            except RequestError:
                continue  # Removed since it was listed.
            except SelfplayError as error:
                found.append(unreadable_run(run.id, in_words(error)))
        damaged = self._library.damaged_runs().items()
        return [*found, *(unreadable_run(id, in_words(error)) for id, error in damaged)]

    async def runs(self, request: Request) -> Response:
        return JSONResponse(await self._threads.by_files(self.list_runs))

    async def checkpoints(self, request: Request) -> Response:
        name = request.path_params["run"]

        def listed() -> list[dict[str, Any]]:
            from selfplay.reports.match_report import stored_checkpoints

            run = self._library.run(name)
            rows = stored_checkpoints(run.directory.url)
            return [
                {
                    "update": row["update"],
                    "time": row["time"],
                    "agent": f"{run.id}@{row['update']}",
                }
                for row in rows
            ]

        return JSONResponse(await self._threads.by_files(listed))

    async def matches(self, request: Request) -> Response:
        name, query = request.path_params["run"], dict(request.query_params)

        def page() -> dict[str, Any]:
            run = self._library.run(name)
            return self._matches_of(run).page(query, game=self._library.game_of(run))

        answer = await self._threads.by_files(page)
        if name not in self._counting:
            # While people look at the first page.
            self._counting.add(name)
            self._tasks.start(self._count(name))
        return JSONResponse(answer)

    async def _count(self, name: str) -> None:
        try:
            with contextlib.suppress(SelfplayError):
                while not await self._threads.by_files(
                    lambda: self._matches_of(self._library.run(name)).count()
                ):
                    await asyncio.sleep(_COUNT_PAUSE_SECONDS)
        finally:
            self._counting.discard(name)

    def _matches_of(self, run: ServedRun) -> RunMatches:
        with self._matches_lock:
            known = self._matches.get(run.id, lambda: RunMatches(run))
            if known.run is not run:
                # Another run has taken the place of one that was removed.
                known = RunMatches(run)
                self._matches.put(run.id, known)
            return known

    async def match(self, request: Request) -> Response:
        name, match = request.path_params["run"], request.path_params["match"]

        run = await self._threads.by_files(self._library.run, name)
        game = await self._threads.by_files(self._library.game_of, run)
        served = await self._threads.by_files(self._library.game, game)
        document = await self._threads.by_files(read_match, run, served, match)
        pending = False
        try:
            async with asyncio.timeout(_OPINION_SECONDS):
                await add_surprises(document, run.id, served, self._threads, self._searches)
        except TimeoutError:
            # A network is being loaded or compiled: the page asks again.
            pending = True
        return JSONResponse({**document, "pending": pending})

    async def status(self, request: Request) -> Response:
        return JSONResponse(await self._status(request.path_params["run"]))

    async def _status(self, name: str) -> dict[str, Any]:
        run = await self._threads.by_files(self._library.run, name)

        def read() -> dict[str, Any]:
            from selfplay.serve.runs.training import status_document

            return status_document(run)

        return await self._threads.by_files(self._remembered.get, ("status", name), read)

    async def training(self, request: Request) -> Response:
        name = request.path_params["run"]
        run = await self._threads.by_files(self._library.run, name)

        def read() -> dict[str, Any]:
            from selfplay.serve.runs.training import training_document

            return training_document(run, game=self._library.game_of(run))

        return JSONResponse(
            await self._threads.by_files(self._remembered.get, ("training", name), read)
        )

    async def stop(self, request: Request) -> Response:
        body = await read_object(request)
        run = await self._threads.by_files(self._library.run, request.path_params["run"])
        if not self._allow_control:
            raise RequestError(
                "this server only watches runs",
                hint="selfplay serve --allow-control lets visitors stop processes",
                status=403,
            )
        return JSONResponse(await self._threads.by_files(stop_process, run, body))

    async def events(self, request: Request) -> Response:
        name = request.path_params["run"]
        await self._threads.by_files(self._library.run, name)
        events = self.feeds.listen(name)
        # Before the stream begins, so that the answer can still be an error.
        first = await anext(events)
        return StreamingResponse(_chained(first, events), media_type="text/event-stream")

    async def _look(self, name: str) -> dict[str, Any]:
        """Returns the state of a run, which `Feeds` compares with the state before."""
        status = await self._status(name)

        def newest() -> list[dict[str, Any]]:
            run = self._library.run(name)
            game = self._library.game_of(run)
            return self._matches_of(run).newest(_NEWEST_MATCHES, game=game)

        update = status["checkpoint"]
        return {
            "status": status,
            "matches": await self._threads.by_files(newest),
            "checkpoint": None
            if update is None
            else {"update": update, "agent": f"{name}@{update}"},
        }


async def _chained(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for one in rest:
        yield one
