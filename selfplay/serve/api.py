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
from selfplay.serve.bodies import read_object
from selfplay.serve.feed import Feeds, event
from selfplay.serve.library import Library
from selfplay.serve.matches import RunMatches, read_match
from selfplay.serve.openapi import openapi_document
from selfplay.serve.pages import Pages
from selfplay.serve.searches import Searches
from selfplay.serve.served import ServedRun
from selfplay.serve.thinking import Thinking
from selfplay.serve.training import Remembered, status_document, training_document

Answer = Callable[[Request], Awaitable[Response]]


class Api:
    """What each address answers."""

    def __init__(
        self,
        library: Library,
        searches: Searches,
        thinking: Thinking,
        title: str,
    ) -> None:
        self._library = library
        self._searches = searches
        self._thinking = thinking
        self._title = title
        self._pages = Pages()
        self._remembered = Remembered()
        self._matches: dict[str, RunMatches] = {}
        self._counting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.feeds = Feeds(self._look)

    def routes(self) -> list[Route]:
        """Returns the addresses."""
        get: dict[str, Answer] = {
            "/": self.page,
            "/static/{name}": self.static,
            "/healthz": self.health,
            "/readyz": self.health,
            "/api/v1/about": self.about,
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
        document = {"state": "serving", "waiting_searches": self._searches.waiting}
        return JSONResponse(document)

    async def about(self, request: Request) -> Response:
        names = await self._thinking.by_files(self._library.game_names)
        games = [await self._thinking.by_files(self._library.describe_game, name) for name in names]
        runs = await self._thinking.by_files(self._runs)
        return JSONResponse(
            {
                "version": importlib.metadata.version("selfplay-jax"),
                "title": self._title,
                "games": games,
                "runs": runs,
                # Nothing can be changed from here: the server only reads.
                "allow_control": False,
                "default_game": games[0]["game"] if games else None,
                "default_run": runs[0]["run"] if runs else None,
            }
        )

    async def games(self, request: Request) -> Response:
        names = await self._thinking.by_files(self._library.game_names)
        describe = self._library.describe_game
        return JSONResponse([await self._thinking.by_files(describe, name) for name in names])

    async def game(self, request: Request) -> Response:
        name = request.path_params["game"]
        return JSONResponse(await self._thinking.by_files(self._library.describe_game, name))

    async def agents(self, request: Request) -> Response:
        name = request.path_params["game"]

        def listed() -> list[dict[str, Any]]:
            return [agent.to_dict() for agent in self._library.game(name).agent_list()]

        return JSONResponse(await self._thinking.by_files(listed))

    async def runs(self, request: Request) -> Response:
        return JSONResponse(await self._thinking.by_files(self._runs))

    def _runs(self) -> list[dict[str, Any]]:
        found = []
        for run in self._library.runs():
            with contextlib.suppress(SelfplayError):  # Removed since it was listed, or damaged.
                found.append(run.to_dict(self._library.game_of(run)))
        return found

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

        return JSONResponse(await self._thinking.by_files(listed))

    async def matches(self, request: Request) -> Response:
        name, query = request.path_params["run"], dict(request.query_params)

        def page() -> dict[str, Any]:
            run = self._library.run(name)
            return self._matches_of(run).page(query, game=self._library.game_of(run))

        answer = await self._thinking.by_files(page)
        if name not in self._counting:
            # While people look at the first page.
            self._counting.add(name)
            task = asyncio.create_task(self._count(name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return JSONResponse(answer)

    async def _count(self, name: str) -> None:
        try:
            with contextlib.suppress(SelfplayError):
                while not await self._thinking.by_files(
                    lambda: self._matches_of(self._library.run(name)).count()
                ):
                    await asyncio.sleep(0.05)
        finally:
            self._counting.discard(name)

    def _matches_of(self, run: ServedRun) -> RunMatches:
        if run.id not in self._matches:
            self._matches[run.id] = RunMatches(run)
        return self._matches[run.id]

    async def match(self, request: Request) -> Response:
        name, match = request.path_params["run"], request.path_params["match"]

        run = await self._thinking.by_files(self._library.run, name)
        game = await self._thinking.by_files(self._library.game_of, run)
        served = await self._thinking.by_files(self._library.game, game)
        document = await self._thinking.by_files(read_match, run, served, match)
        await self._thinking.add_surprises(served, run.id, document)
        return JSONResponse(document)

    async def status(self, request: Request) -> Response:
        return JSONResponse(await self._status(request.path_params["run"]))

    async def _status(self, name: str) -> dict[str, Any]:
        run = await self._thinking.by_files(self._library.run, name)
        return await self._thinking.by_files(
            self._remembered.get, ("status", name), lambda: status_document(run)
        )

    async def training(self, request: Request) -> Response:
        name = request.path_params["run"]
        run = await self._thinking.by_files(self._library.run, name)

        def read() -> dict[str, Any]:
            return training_document(run, game=self._library.game_of(run))

        return JSONResponse(
            await self._thinking.by_files(self._remembered.get, ("training", name), read)
        )

    async def events(self, request: Request) -> Response:
        name = request.path_params["run"]
        await self._thinking.by_files(self._library.run, name)
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
            "matches": await self._thinking.by_files(newest),
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
