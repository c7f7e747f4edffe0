"""What each address of the API answers."""

import asyncio
import contextlib
import importlib.metadata
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from selfplay.errors import SelfplayError
from selfplay.serve.analysis.searches import Searches
from selfplay.serve.analysis.thinking import Thinking
from selfplay.serve.bodies import read_object
from selfplay.serve.errors import RequestError, in_words
from selfplay.serve.library import Library
from selfplay.serve.openapi import openapi_document
from selfplay.serve.pages import Pages
from selfplay.serve.runs.control import stop_process
from selfplay.serve.runs.feed import Feeds, event
from selfplay.serve.runs.matches import RunMatches, read_match
from selfplay.serve.runs.surprises import add_surprises
from selfplay.serve.runs.training import Remembered, status_document, training_document
from selfplay.serve.served import ServedRun, unreadable_run
from selfplay.serve.threads import Tasks, Threads

Answer = Callable[[Request], Awaitable[Response]]

_OPINION_SECONDS = 1.5
"""How long a recorded match may wait for what the network alone thinks of its positions."""


class Api:
    """What each address answers."""

    def __init__(
        self,
        library: Library,
        searches: Searches,
        threads: Threads,
        thinking: Thinking,
        title: str,
        *,
        allow_control: bool,
    ) -> None:
        self._allow_control = allow_control
        self._library = library
        self._searches = searches
        self._threads = threads
        self._thinking = thinking
        self._title = title
        self._pages = Pages()
        self._remembered = Remembered()
        self._matches: dict[str, RunMatches] = {}
        self._counting: set[str] = set()
        self._tasks = Tasks()
        self.feeds = Feeds(self._look)

    def routes(self) -> list[Route]:
        """Returns the addresses."""
        get: dict[str, Answer] = {
            "/": self.page,
            "/static/{name}": self.static,
            "/healthz": self.health,
            "/readyz": self.health,
            "/api/v1/about": self.about,
            "/api/v1/health": self.health,
            "/api/v1/games": self.games,
            "/api/v1/games/{game}": self.game,
            "/api/v1/games/{game}/agents": self.agents,
            "/api/v1/openapi.json": self.openapi,
            "/api/v1/results": self.results,
            "/api/v1/runs": self.runs,
            "/api/v1/runs/{run}/checkpoints": self.checkpoints,
            "/api/v1/runs/{run}/matches": self.matches,
            "/api/v1/runs/{run}/matches/{match}": self.match,
            "/api/v1/runs/{run}/status": self.status,
            "/api/v1/runs/{run}/training": self.training,
            "/api/v1/runs/{run}/events": self.events,
        }
        post: dict[str, Answer] = {
            "/api/v1/position": self.position,
            "/api/v1/analyze": self.analyze,
            "/api/v1/move": self.move,
            "/api/v1/results": self.result,
            "/api/v1/runs/{run}/stop": self.stop,
        }
        return [
            *(Route(path, answer, methods=["GET"]) for path, answer in get.items()),
            *(Route(path, answer, methods=["POST"]) for path, answer in post.items()),
        ]

    async def page(self, request: Request) -> Response:
        return self._pages.answer("index.html", request)

    async def static(self, request: Request) -> Response:
        return self._pages.answer(request.path_params["name"], request)

    async def health(self, request: Request) -> Response:
        return JSONResponse(
            {
                "state": "serving",
                "waiting_searches": self._searches.waiting,
                "compiling": self._searches.compiling,
            }
        )

    async def about(self, request: Request) -> Response:
        games = await self._described()
        runs = await self._threads.by_files(self._runs)
        return JSONResponse(
            {
                "version": importlib.metadata.version("selfplay-jax"),
                "title": self._title,
                "games": games,
                "runs": runs,
                "allow_control": self._allow_control,
                "default_game": await self._threads.by_files(self._library.default_game),
                "default_run": next((run["run"] for run in runs if not run["problem"]), None),
            }
        )

    async def games(self, request: Request) -> Response:
        return JSONResponse(await self._described())

    async def _described(self) -> list[dict[str, Any]]:
        names = await self._threads.by_files(self._library.game_names)
        return [await self._threads.by_files(self._describe, name) for name in names]

    def _describe(self, game: str) -> dict[str, Any]:
        return self._library.describe_game(game, shares=self._thinking.shares.agents)

    async def game(self, request: Request) -> Response:
        name = request.path_params["game"]
        return JSONResponse(await self._threads.by_files(self._describe, name))

    async def agents(self, request: Request) -> Response:
        name = request.path_params["game"]

        def listed() -> list[dict[str, Any]]:
            return [agent.to_dict() for agent in self._library.game(name).agent_list()]

        return JSONResponse(await self._threads.by_files(listed))

    async def runs(self, request: Request) -> Response:
        return JSONResponse(await self._threads.by_files(self._runs))

    def _runs(self) -> list[dict[str, Any]]:
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
                    await asyncio.sleep(0.05)
        finally:
            self._counting.discard(name)

    def _matches_of(self, run: ServedRun) -> RunMatches:
        known = self._matches.get(run.id)
        if known is None or known.run is not run:
            # Another run may have taken the place of one that was removed.
            known = self._matches[run.id] = RunMatches(run)
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
            # What is missing is being loaded or compiled: the page asks again.
            pending = True
        return JSONResponse({**document, "pending": pending})

    async def status(self, request: Request) -> Response:
        return JSONResponse(await self._status(request.path_params["run"]))

    async def _status(self, name: str) -> dict[str, Any]:
        run = await self._threads.by_files(self._library.run, name)
        return await self._threads.by_files(
            self._remembered.get, ("status", name), lambda: status_document(run)
        )

    async def training(self, request: Request) -> Response:
        name = request.path_params["run"]
        run = await self._threads.by_files(self._library.run, name)

        def read() -> dict[str, Any]:
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
        news = self.feeds.listen(name)
        # That too many listen is answered as such, before the stream begins.
        first = await anext(news)
        return StreamingResponse(_then(first, news), media_type="text/event-stream")

    async def _look(self, name: str) -> dict[str, Any]:
        """Returns what is new of a run."""
        status = await self._status(name)

        def newest() -> list[dict[str, Any]]:
            run = self._library.run(name)
            return self._matches_of(run).newest(50, game=self._library.game_of(run))

        update = status["checkpoint"]
        return {
            "status": status,
            "matches": await self._threads.by_files(newest),
            "checkpoint": None
            if update is None
            else {"update": update, "agent": f"{name}@{update}"},
        }

    async def position(self, request: Request) -> Response:
        return JSONResponse(await self._thinking.position(await read_object(request)))

    async def analyze(self, request: Request) -> Response:
        body = await read_object(request)
        if "text/event-stream" not in request.headers.get("accept", ""):
            return await _answer(request, self._thinking.analyze(body, _visitor(request)))
        documents = self._thinking.deepen(body, _visitor(request))
        # What is wrong with the question is answered as such, before the stream begins.
        first = await anext(documents)
        return StreamingResponse(
            _as_events("analysis", first, documents), media_type="text/event-stream"
        )

    async def move(self, request: Request) -> Response:
        body = await read_object(request)
        return await _answer(request, self._thinking.move(body, _visitor(request)))

    async def results(self, request: Request) -> Response:
        return JSONResponse(self._thinking.shares.to_list())

    async def result(self, request: Request) -> Response:
        return JSONResponse(await self._thinking.result(await read_object(request)))

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(openapi_document())


async def _answer(request: Request, document: Coroutine[Any, Any, dict[str, Any]]) -> Response:
    """Returns a document as the answer; gives up where the visitor has gone."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    asked, left = asyncio.create_task(document), asyncio.create_task(gone())
    try:
        await asyncio.wait((asked, left), return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            return Response(status_code=499)
        return JSONResponse(asked.result())
    finally:
        asked.cancel()
        left.cancel()


def _visitor(request: Request) -> str:
    """Returns what tells visitors apart well enough to give each the same agent every time."""
    host = request.client.host if request.client else ""
    return f"{host} {request.headers.get('user-agent', '')}"


async def _as_events(
    name: str, first: Mapping[str, Any], rest: AsyncIterator[Mapping[str, Any]]
) -> AsyncIterator[str]:
    yield event(name, first)
    try:
        async for document in rest:
            yield event(name, document)
    except SelfplayError as error:
        yield event("problem", {"error": str(error), "hint": error.hint, "place": None})


async def _then(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for one in rest:
        yield one
