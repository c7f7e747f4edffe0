"""The web application: it connects the parts and starts and stops them."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from selfplay.errors import SelfplayError
from selfplay.serve.analysis.results_file import ResultsFile
from selfplay.serve.analysis.searches import Searches
from selfplay.serve.analysis.shares import Share, Shares
from selfplay.serve.analysis.thinking import Thinking
from selfplay.serve.api import Api
from selfplay.serve.errors import explain, problem
from selfplay.serve.library import Library
from selfplay.serve.security import Guard
from selfplay.serve.threads import Threads

_SAVE_SECONDS = 5.0


def create_app(
    library: Library,
    *,
    title: str = "selfplay",
    hosts: Sequence[str] | None = ("localhost",),
    token: str | None = None,
    shares: Sequence[Share] = (),
    results: ResultsFile | None = None,
    searches: Searches | None = None,
    warm: bool = False,
    allow_control: bool = False,
) -> Starlette:
    """Returns the application.

    Args:
        library: what is served.
        title: name of the server, shown to people.
        hosts: host names that requests may name; None for any.
        token: bearer token that requests to the API must carry; None for none.
        shares: agents that answer requests that name none; by default the game's default agent.
        results: file of the results of agents against visitors; closed with the application. By
            default the counts start at 0 and are not kept.
        searches: runs the searches; by default a new one.
        warm: whether to compile in advance what visitors will need: for the first game at once, for
            other games when somebody opens them.
        allow_control: whether visitors may stop the processes of runs; otherwise runs are only
            read.
    """
    searches = searches or Searches()
    threads = Threads()
    counts = Shares(shares, results)
    thinking = Thinking(library, searches, threads, counts, prepares=warm)
    api = Api(library, searches, threads, thinking, title, allow_control=allow_control)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_save_regularly(counts, threads))]
        if warm:
            tasks.append(asyncio.create_task(_prepare(thinking, threads)))
        yield
        for task in tasks:
            task.cancel()
        api.close()
        threads.close()
        counts.close()
        library.close()
        searches.close()

    app = Starlette(
        routes=api.routes(),
        middleware=[Middleware(Guard, hosts=hosts, token=token)],
        exception_handlers={SelfplayError: _explained, HTTPException: _http, Exception: _fault},
        lifespan=lifespan,
    )
    app.state.searches = searches
    return app


async def _prepare(thinking: Thinking, threads: Threads) -> None:
    """Prepares what visitors will need, most urgent first."""
    await thinking.warm()
    await threads.by_files(importlib.import_module, "selfplay.serve.runs.training")


async def _save_regularly(counts: Shares, threads: Threads) -> None:
    while True:
        await asyncio.sleep(_SAVE_SECONDS)
        with contextlib.suppress(SelfplayError):
            await threads.by_files(counts.save)


async def _explained(request: Request, error: Exception) -> Response:
    assert isinstance(error, SelfplayError)
    return explain(error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing at this address", 405: "the method does not fit this address"}
    headers = dict(error.headers or {})
    return problem(error.status_code, words.get(error.status_code, error.detail), headers=headers)


async def _fault(request: Request, error: Exception) -> Response:
    name = type(error).__name__
    return problem(500, f"this is a fault of selfplay itself: {name}", "the server's log says more")
