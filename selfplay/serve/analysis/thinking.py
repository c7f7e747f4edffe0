"""Answers requests for positions, analyses and moves, and counts results."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from selfplay.arena.agents import RESIGN, Analysis
from selfplay.errors import EngineError, IllegalActionError, SelfplayError
from selfplay.play import LiveMatch, describe_analysis
from selfplay.serve import bodies
from selfplay.serve.analysis.agents import (
    BUDGETS,
    EngineServed,
    ServedAgent,
    Thinker,
    as_thinker,
    budget_for,
)
from selfplay.serve.analysis.lines import LINE_KEYS, position_document
from selfplay.serve.analysis.searches import Searches
from selfplay.serve.analysis.shares import Shares
from selfplay.serve.errors import RequestError
from selfplay.serve.library import Library
from selfplay.serve.served import ServedGame, can_have
from selfplay.serve.threads import Tasks, Threads

_LOG = logging.getLogger(__name__)

ANALYSIS_KEYS = (
    *LINE_KEYS,
    "agent",
    "simulations",
    "milliseconds",
    "line_length",
    "tree",
    "seed",
    "visitor",
)
RESULT_KEYS = (*LINE_KEYS, "agent", "seat", "resigned")

_LONGEST_LINE = 64
_DEEPEST_TREE = 12
_FIRST_BUDGET = 32
_SHALLOWEST = 16
_WAIT_SECONDS = 300.0
_LOOK_SECONDS = 0.5


class Thinking:
    """Answers requests about positions."""

    def __init__(
        self,
        library: Library,
        searches: Searches,
        threads: Threads,
        shares: Shares | None = None,
        *,
        prepares: bool = False,
    ) -> None:
        """Computes nothing yet.

        Args:
            library: the games and runs.
            searches: runs the searches.
            threads: call rules, files and engines.
            shares: chooses the agent for requests that name none; by default the game's own.
            prepares: whether opening a game compiles its default agent in advance.
        """
        self._library = library
        self._searches = searches
        self._threads = threads
        self.shares = shares or Shares()
        self._prepares = prepares
        self._opened: set[str] = set()
        self._tasks = Tasks()

    async def warm(self) -> None:
        """Loads the first game and its default agent, and compiles what the first visitor needs."""
        with contextlib.suppress(SelfplayError):
            # The agent is loaded while the rules are compiled.
            self._open(await self._game({}))
            await self.position({})
        await self._tasks.finish()
        while self._searches.compiling:
            await asyncio.sleep(_LOOK_SECONDS)

    def _open(self, served: ServedGame) -> None:
        """Starts to prepare the default agent of a game, once."""
        if served.id not in self._opened:
            self._opened.add(served.id)
            self._tasks.start(self._warm_agent(served))

    async def _warm_agent(self, served: ServedGame) -> None:
        """Loads the default agent of a game and compiles its search."""
        with contextlib.suppress(SelfplayError):
            agent = await self._threads.by_files(served.agent, None)
            if isinstance(agent, Thinker) and agent.simulations is not None:
                self._searches.warm(agent, budget_for(agent.simulations))

    async def position(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the position document of a line."""
        bodies.refuse_unknown(body, LINE_KEYS)
        served = await self._game(body)
        match = await self._threads.by_rules(served.id, served.lines.find, body)
        document = await self._threads.by_rules(served.id, position_document, served.id, match)
        if self._prepares:
            # While the visitor looks at the board.
            self._open(served)
        return document

    async def analyze(self, body: Mapping[str, Any], visitor: str = "") -> dict[str, Any]:
        """Returns the analysis document of a line."""
        bodies.refuse_unknown(body, ANALYSIS_KEYS)
        served, match, agent = await self._question(body, visitor)
        return await self._analysis(body, served, match, as_thinker(agent))

    async def deepen(
        self, body: Mapping[str, Any], visitor: str = ""
    ) -> AsyncIterator[dict[str, Any]]:
        """Yields analysis documents of one position, each with twice as many simulations."""
        bodies.refuse_unknown(body, ANALYSIS_KEYS)
        served, match, asked = await self._question(body, visitor)
        agent = as_thinker(asked)
        most = bodies.whole(
            body, "simulations", self._library.limits.simulations,
            low=0, high=self._library.limits.simulations,
        )  # fmt: skip
        simulations = _SHALLOWEST
        while True:
            depth = min(simulations, most or 0)
            yield await self._analysis({**body, "simulations": depth}, served, match, agent)
            if depth >= (most or 0):
                return
            simulations *= 2

    async def result(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Counts the result of a match that is over or was resigned.

        Returns:
            The counts of all agents.
        """
        bodies.refuse_unknown(body, RESULT_KEYS)
        name = bodies.text(body, "agent")
        seat = bodies.whole(body, "seat", None, low=0, high=1)
        if name is None or seat is None:
            place = "agent" if name is None else "seat"
            raise RequestError(f"{place} is missing", place=place)
        served = await self._game(body)
        match = await self._threads.by_rules(served.id, served.lines.find, body)
        agent = await self._threads.by_files(served.agent, name)
        over, returns = await self._threads.by_rules(served.id, lambda: (match.over, match.returns))
        resigned = bodies.whole(body, "resigned", None, low=0, high=1)
        if not over and resigned is None:
            raise RequestError("the match is not over after these moves", place="moves")
        result = returns[seat] if over else (-1.0 if resigned == seat else 1.0)
        await self._threads.by_files(self.shares.note_result, agent.id, result)
        return self.shares.to_list()

    async def move(self, body: Mapping[str, Any], visitor: str = "") -> dict[str, Any]:
        """Returns the move of an agent, its analysis, and the position after it."""
        bodies.refuse_unknown(body, ANALYSIS_KEYS)
        served, match, agent = await self._question(body, visitor)
        if isinstance(agent, EngineServed):
            seed = bodies.whole(body, "seed", 0, low=0, high=2**31 - 1) or 0
            try:
                action = await self._threads.by_engines(agent.choose, match, seed=seed)
            except (EngineError, IllegalActionError) as error:
                # Its message contains the command, which visitors must not see.
                _LOG.warning("%s", error)
                raise RequestError(
                    f"{agent.title} has failed",
                    hint="ask again, or choose another agent; the server's log says why",
                    status=502,
                ) from error
            analysis = None
        else:
            analysis = await self._analysis(body, served, match, as_thinker(agent))
            action = analysis["action"]

        def after() -> dict[str, Any]:
            if action != RESIGN:
                match.play(action)
            return position_document(served.id, match)

        return {
            "analysis": analysis,
            "position": await self._threads.by_rules(served.id, after),
            "resigned": action == RESIGN,
            "agent": agent.id,
            "title": agent.title,
        }

    async def _game(self, body: Mapping[str, Any]) -> ServedGame:
        return await self._threads.by_files(self._library.game, bodies.text(body, "game"))

    async def _question(
        self, body: Mapping[str, Any], visitor: str
    ) -> tuple[ServedGame, LiveMatch, ServedAgent]:
        served = await self._game(body)
        match = await self._threads.by_rules(served.id, served.lines.find, body)
        if await self._threads.by_rules(served.id, lambda: match.over):
            raise RequestError(
                "the match is over after these moves",
                hint="there is no move left; leave the last one out",
                place="moves",
            )
        name = bodies.text(body, "agent")
        if name is None:
            name = self.shares.choose(bodies.text(body, "visitor") or visitor)
            name = name if name is not None and can_have(served.runs, name) else None
        agent = await self._threads.by_files(served.agent, name)
        self.shares.note_request(agent.id)
        return served, match, agent

    async def _analysis(
        self,
        body: Mapping[str, Any],
        served: ServedGame,
        match: LiveMatch,
        agent: Thinker,
    ) -> dict[str, Any]:
        length = bodies.whole(body, "line_length", 8, low=0, high=_LONGEST_LINE) or 0
        depth = bodies.whole(body, "tree", 0, low=0, high=_DEEPEST_TREE) or 0
        seed = bodies.whole(body, "seed", 0, low=0, high=2**31 - 1) or 0
        budget = await self._budget(body, match, agent)
        analysis, seconds = await self._search(agent, match, budget, seed)
        document = await self._threads.by_rules(
            served.id,
            describe_analysis,
            agent.id,
            match,
            analysis,
            line_length=length,
            tree_depth=depth,
        )
        if agent.kind != "checkpoint":
            # These keys are of a network, which playouts and solvers do not have.
            document.pop("raw_value", None)
            document.pop("raw_policy", None)
        searched = agent.simulations is not None
        return {
            **document,
            "outcomes": list(match.outcomes),
            "variations": document.get("variations", {}),
            "principal_variation": document.get("principal_variation", []),
            "game": served.id,
            "title": agent.title,
            "simulations": budget if searched else None,
            "milliseconds": round(1000 * seconds, 1),
        }

    async def _search(
        self, agent: Thinker, match: LiveMatch, budget: int, seed: int
    ) -> tuple[Analysis, float]:
        asked = self._searches.submit(agent, match, simulations=budget, seed=seed)
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                found = await asyncio.wrap_future(asked)
        except TimeoutError:
            raise RequestError(
                "the search took too long", hint="ask again", status=503, retry_after=10
            ) from None
        return found.analysis, found.seconds

    async def _budget(self, body: Mapping[str, Any], match: LiveMatch, agent: Thinker) -> int:
        """Returns the compiled number of simulations for a request."""
        limits = self._library.limits
        simulations = bodies.whole(body, "simulations", None, low=0, high=limits.simulations)
        milliseconds = bodies.whole(body, "milliseconds", None, low=1, high=limits.milliseconds)
        if simulations is not None and milliseconds is not None:
            raise RequestError("simulations and milliseconds are both given", place="milliseconds")
        if agent.simulations is None:
            return 0
        if agent.kind == "mcts" and simulations is not None and simulations < 2:
            raise RequestError(
                f"simulations is {simulations}, but {agent.title} needs at least 2",
                place="simulations",
            )
        if milliseconds is None:
            asked = agent.simulations if simulations is None else simulations
            return min(budget_for(asked), limits.simulations)
        return await self._budget_in(milliseconds / 1000, match, agent)

    async def _budget_in(self, seconds: float, match: LiveMatch, agent: Thinker) -> int:
        """Returns how many simulations fit in a time, by the duration of earlier searches.

        If that program is not compiled, it is compiled for the next request, and this one gets the
        largest smaller program that is.
        """
        affordable = [b for b in BUDGETS if 2 <= b <= self._library.limits.simulations]
        known = {b: self._searches.seconds_for(agent, b) for b in affordable}
        measured = {b: taken for b, taken in known.items() if taken is not None}
        if not measured:
            _, taken = await self._search(agent, match, _FIRST_BUDGET, 0)
            measured = {_FIRST_BUDGET: taken}
        largest = max(measured)

        def expected(budget: int) -> float:
            return measured.get(budget, measured[largest] * budget / largest)

        fitting = [b for b in affordable if expected(b) <= seconds] or affordable[:1]
        self._searches.warm(agent, fitting[-1])
        ready = [b for b in fitting if self._searches.is_ready(agent, b)]
        return ready[-1] if ready else min(fitting[-1], _FIRST_BUDGET)
