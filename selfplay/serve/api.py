"""The addresses of the server, and the answers about games, positions and agents."""

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from selfplay.errors import SelfplayError
from selfplay.serve.analysis.searches import Searches
from selfplay.serve.analysis.thinking import Thinking
from selfplay.serve.bodies import read_object
from selfplay.serve.library import Library
from selfplay.serve.openapi import openapi_document
from selfplay.serve.pages import Pages
from selfplay.serve.runs.answers import Answer, RunAnswers
from selfplay.serve.runs.feed import format_event
from selfplay.serve.threads import Threads


class Api:
    """Answers requests by their address."""

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
        self._runs = RunAnswers(library, searches, threads, allow_control=allow_control)

    def close(self) -> None:
        """Ends the streams of events."""
        self._runs.feeds.close()

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
            **self._runs.get_addresses(),
        }
        post: dict[str, Answer] = {
            "/api/v1/position": self.position,
            "/api/v1/analyze": self.analyze,
            "/api/v1/move": self.move,
            "/api/v1/results": self.result,
            **self._runs.post_addresses(),
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
        runs = await self._threads.by_files(self._runs.list_runs)
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
            return self._library.game(name).agent_list()

        return JSONResponse(await self._threads.by_files(listed))

    async def position(self, request: Request) -> Response:
        return JSONResponse(await self._thinking.position(await read_object(request)))

    async def analyze(self, request: Request) -> Response:
        body = await read_object(request)
        if "text/event-stream" not in request.headers.get("accept", ""):
            return await _answer(request, self._thinking.analyze(body, _visitor(request)))
        documents = self._thinking.deepen(body, _visitor(request))
        # Before the stream begins, so that the answer can still be an error.
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
    """Returns a document as the answer; stops computing it when the visitor has gone."""

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
    """Returns address and browser of a visitor, so that the visitor always gets the same agent."""
    host = request.client.host if request.client else ""
    return f"{host} {request.headers.get('user-agent', '')}"


async def _as_events(
    name: str, first: Mapping[str, Any], rest: AsyncIterator[Mapping[str, Any]]
) -> AsyncIterator[str]:
    yield format_event(name, first)
    try:
        async for document in rest:
            yield format_event(name, document)
    except SelfplayError as error:
        yield format_event("problem", {"error": str(error), "hint": error.hint, "place": None})
