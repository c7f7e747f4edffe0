"""Analyses and moves on request: from a body to a document."""

import asyncio
import collections
import concurrent.futures
import contextlib
import functools
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from selfplay.arena.agents import RESIGN, Analysis
from selfplay.errors import EngineError, IllegalActionError, SelfplayError
from selfplay.play import LiveMatch, describe_analysis
from selfplay.serve import bodies
from selfplay.serve.agents import BUDGETS, SIZES, EngineServed, ServedAgent, budget_for
from selfplay.serve.errors import RequestError
from selfplay.serve.library import Library
from selfplay.serve.lines import LINE_KEYS, position_document
from selfplay.serve.searches import Searches
from selfplay.serve.served import ServedGame
from selfplay.serve.shares import Shares

T = TypeVar("T")

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
RESULT_KEYS = (*LINE_KEYS, "agent", "seat")

_LONGEST_LINE = 64
_DEEPEST_TREE = 12
_FIRST_BUDGET = 32
_SHALLOWEST = 16
_WAIT_SECONDS = 300.0
_MOST_CALLS = 512
_LEAST_SHARE = 1e-9


class Thinking:
    """Answers what visitors want to know of positions.

    The rules are called on one thread, files are read on others, searches have a thread of their
    own: the event loop waits for all of them and is never kept.
    """

    def __init__(self, library: Library, searches: Searches, shares: Shares | None = None) -> None:
        """Takes what is served, what searches, and who answers those that name nobody."""
        self._library = library
        self.shares = shares or Shares()
        self._searches = searches
        self._rules = concurrent.futures.ThreadPoolExecutor(1, "rules")
        self._files = concurrent.futures.ThreadPoolExecutor(4, "files")
        self._engines = concurrent.futures.ThreadPoolExecutor(8, "engines")
        self._waiting: collections.Counter[concurrent.futures.Executor] = collections.Counter()

    async def by_rules(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Returns what a call returns that steps through the rules."""
        return await self._on(self._rules, call, *arguments, **named)

    async def by_files(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Returns what a call returns that reads files or makes a game."""
        return await self._on(self._files, call, *arguments, **named)

    async def warm(self) -> None:
        """Prepares what whoever comes first will need: the first game and its default agent."""
        with contextlib.suppress(SelfplayError):
            served = await self.by_files(self._library.game, None)
            match = await self.by_rules(served.lines.find, {})
            await self.by_rules(position_document, served.id, match)
            agent = await self.by_files(served.agent, None)
            if agent.simulations is not None:
                self._searches.warm(agent, budget_for(agent.simulations))

    async def position(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the position document of a line."""
        bodies.refuse_unknown(body, LINE_KEYS)
        served = await self._game(body)
        match = await self.by_rules(served.lines.find, body)
        return await self.by_rules(position_document, served.id, match)

    async def analyze(self, body: Mapping[str, Any], visitor: str = "") -> dict[str, Any]:
        """Returns the analysis document of a line."""
        bodies.refuse_unknown(body, ANALYSIS_KEYS)
        served, match, agent = await self._question(body, visitor)
        if not agent.analyses:
            raise RequestError(f"{agent.title} gives no reasons: it only plays", place="agent")
        return await self._analysis(body, served, match, agent)

    async def deepen(
        self, body: Mapping[str, Any], visitor: str = ""
    ) -> AsyncIterator[dict[str, Any]]:
        """Yields analysis documents of one position, each with twice the simulations."""
        bodies.refuse_unknown(body, ANALYSIS_KEYS)
        served, match, agent = await self._question(body, visitor)
        if not agent.analyses:
            raise RequestError(f"{agent.title} gives no reasons: it only plays", place="agent")
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
        """Counts a match that is over for its agent; returns the counts of all."""
        bodies.refuse_unknown(body, RESULT_KEYS)
        name = bodies.text(body, "agent")
        seat = bodies.whole(body, "seat", None, low=0, high=1)
        if name is None or seat is None:
            place = "agent" if name is None else "seat"
            raise RequestError(f"{place} is missing", place=place)
        served = await self._game(body)
        match = await self.by_rules(served.lines.find, body)
        agent = await self.by_files(served.agent, name)
        over, returns = await self.by_rules(lambda: (match.over, match.returns))
        if not over:
            raise RequestError("the match is not over after these moves", place="moves")
        self.shares.note_result(agent.id, returns[seat])
        return self.shares.to_list()

    async def add_surprises(self, served: ServedGame, run: str, document: dict[str, Any]) -> None:
        """Adds to a recorded match what the network alone thought, if its checkpoint is there.

        Args:
            served: the game.
            run: identifier of the run.
            document: of the match; `raw_policy` and `surprise` of its plies are filled in.
        """
        update = document["last_checkpoint"]
        if document["kind"] != "selfplay" or update != document["first_checkpoint"]:
            return
        try:
            agent = await self.by_files(served.agent, f"{run}@{update}")
            match = await self.by_rules(
                served.lines.find, {key: document[key] for key in LINE_KEYS if key != "game"}
            )
            for first in range(0, len(document["plies"]), SIZES[-1]):
                plies = range(first, min(first + SIZES[-1], len(document["plies"])))
                asked = [
                    self._searches.submit(agent, match.before(ply), simulations=0) for ply in plies
                ]
                for ply, answer in zip(plies, asked, strict=True):
                    found = await asyncio.wrap_future(answer)
                    _add_opinion(document["plies"][ply], found.analysis)
        except SelfplayError:
            # The checkpoint was removed, or there is too much to do: the match is shown without.
            return

    async def move(self, body: Mapping[str, Any], visitor: str = "") -> dict[str, Any]:
        """Returns the position after the move of an agent, and why it made it."""
        bodies.refuse_unknown(body, ANALYSIS_KEYS)
        served, match, agent = await self._question(body, visitor)
        if isinstance(agent, EngineServed):
            seed = bodies.whole(body, "seed", 0, low=0, high=2**31 - 1) or 0
            try:
                action = await self._on(self._engines, agent.choose, match, seed=seed)
            except (EngineError, IllegalActionError) as error:
                # What it says names the command, which is the owner's business.
                _LOG.warning("%s", error)
                raise RequestError(
                    f"{agent.title} has failed",
                    hint="ask again, or choose another agent; the server's log says why",
                    status=502,
                ) from error
            analysis = None
        else:
            analysis = await self._analysis(body, served, match, agent)
            action = analysis["action"]

        def after() -> dict[str, Any]:
            if action != RESIGN:
                match.play(action)
            return position_document(served.id, match)

        return {
            "analysis": analysis,
            "position": await self.by_rules(after),
            "resigned": action == RESIGN,
            "agent": agent.id,
            "title": agent.title,
        }

    def close(self) -> None:
        """Ends its threads, without waiting for what they do."""
        for pool in (self._rules, self._files, self._engines):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _game(self, body: Mapping[str, Any]) -> ServedGame:
        return await self.by_files(self._library.game, bodies.text(body, "game"))

    async def _question(
        self, body: Mapping[str, Any], visitor: str
    ) -> tuple[ServedGame, LiveMatch, ServedAgent]:
        served = await self._game(body)
        match = await self.by_rules(served.lines.find, body)
        if await self.by_rules(lambda: match.over):
            raise RequestError(
                "the match is over after these moves",
                hint="there is no move left; leave the last one out",
                place="moves",
            )
        name = bodies.text(body, "agent")
        if name is None:
            name = self.shares.choose(bodies.text(body, "visitor") or visitor)
            name = name if name is not None and served.can_have(name) else None
        agent = await self.by_files(served.agent, name)
        self.shares.note_request(agent.id)
        return served, match, agent

    async def _analysis(
        self,
        body: Mapping[str, Any],
        served: ServedGame,
        match: LiveMatch,
        agent: ServedAgent,
    ) -> dict[str, Any]:
        length = bodies.whole(body, "line_length", 8, low=0, high=_LONGEST_LINE) or 0
        depth = bodies.whole(body, "tree", 0, low=0, high=_DEEPEST_TREE) or 0
        seed = bodies.whole(body, "seed", 0, low=0, high=2**31 - 1) or 0
        budget = await self._budget(body, match, agent)
        analysis, seconds = await self._search(agent, match, budget, seed)
        document = await self.by_rules(
            describe_analysis, agent.id, match, analysis, line_length=length, tree_depth=depth
        )
        if agent.kind != "checkpoint":
            # Playouts and solvers have no network whose opinion this could be.
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
        self, agent: ServedAgent, match: LiveMatch, budget: int, seed: int
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

    async def _budget(self, body: Mapping[str, Any], match: LiveMatch, agent: ServedAgent) -> int:
        """Returns the fixed number of simulations for a request."""
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

    async def _budget_in(self, seconds: float, match: LiveMatch, agent: ServedAgent) -> int:
        """Returns the most simulations that a search makes in so many seconds.

        By how long searches took lately. One that is not compiled yet is compiled for the next
        time, and a smaller one that is takes its place.
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

    def _admit(self, pool: concurrent.futures.Executor) -> None:
        if self._waiting[pool] >= _MOST_CALLS:
            raise RequestError(
                f"{self._waiting[pool]} requests are waiting already",
                hint="ask again later",
                status=429,
                retry_after=1,
            )

    async def _on(
        self,
        pool: concurrent.futures.ThreadPoolExecutor,
        call: Callable[..., T],
        *arguments: Any,
        **named: Any,
    ) -> T:
        self._admit(pool)
        self._waiting[pool] += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(pool, functools.partial(call, *arguments, **named))
        finally:
            self._waiting[pool] -= 1


def _add_opinion(ply: dict[str, Any], analysis: Analysis) -> None:
    """Adds the network's policy, and how far what was recorded lies from it."""
    raw = analysis.raw_policy
    if raw is None:
        return
    ply["raw_policy"] = {str(action): float(raw[action]) for action in np.flatnonzero(raw)}
    ply["surprise"] = sum(
        share * math.log(share / max(float(raw[int(action)]), _LEAST_SHARE))
        for action, share in ply["policy"].items()
        if share > 0
    )
