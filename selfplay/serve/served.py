"""A run and a game as a server offers them, with the agents that play the game."""

import contextlib
import functools
import re
import threading
from collections.abc import Sequence
from typing import Any

from selfplay.arena import RandomAgent, SolverAgent, mcts_agent
from selfplay.errors import SelfplayError
from selfplay.game import Game
from selfplay.run import RunDirectory, is_run, read_heartbeats
from selfplay.serve.analysis.agents import (
    BUDGETS,
    EngineServed,
    PlainServed,
    RunAgents,
    SearchPrograms,
    SearchServed,
    ServedAgent,
)
from selfplay.serve.analysis.lines import Lines
from selfplay.serve.errors import RequestError, not_found
from selfplay.serve.recent import Recent

PLAIN_SIMULATIONS = 200
"""Simulations of the opponent of a game without a run."""

MOST_LOADED_RUNS = 8
"""Runs whose networks are in memory at once."""


class LoadedRuns:
    """The runs whose networks are in memory; the one that was unused the longest is unloaded."""

    def __init__(self, most: int = MOST_LOADED_RUNS) -> None:
        """Starts without any.

        Args:
            most: runs that are loaded at once.
        """
        self._lock = threading.Lock()
        self._recent: Recent[int, ServedRun] = Recent(most, on_drop=ServedRun.unload)

    def use(self, run: "ServedRun") -> None:
        """Notes that a run is in use now."""
        with self._lock:
            self._recent.get(id(run), lambda: run)


class ServedRun:
    """A run, and its checkpoints as agents."""

    def __init__(self, id: str, run: RunDirectory, loaded: LoadedRuns | None = None) -> None:
        """Serves a run under an identifier.

        Args:
            id: what requests call it.
            run: the run.
            loaded: limits how many runs are in memory; by default nothing does.
        """
        self.id = id
        self.title = id
        self.directory = run
        self._loaded = loaded
        self._lock = threading.Lock()
        self._game: Game[Any] | None = None
        self._agents: RunAgents | None = None

    def make_game(self) -> Game[Any]:
        """Returns its rules, loaded at the first call.

        Raises:
            RunError: their file has moved, or they have changed.
        """
        with self._lock:
            if self._game is None:
                self._game = self.directory.make_game()
            return self._game

    @property
    def agents(self) -> RunAgents:
        """Its checkpoints as agents."""
        game = self.make_game()
        with self._lock:
            if self._agents is None:
                self._agents = RunAgents(self.id, self.title, self.directory, game)
            return self._agents

    def agent(self, update: int | None = None) -> SearchServed:
        """Returns a checkpoint as an agent, loaded if need be; the newest one by default.

        Raises:
            CheckpointError: there is none, it was removed, or is damaged.
        """
        if self._loaded is not None:
            self._loaded.use(self)
        return self.agents.get(update)

    def unload(self) -> None:
        """Forgets its networks, which are loaded again when somebody asks for them."""
        with self._lock:
            self._agents = None

    def to_dict(self, game: str) -> dict[str, Any]:
        """Returns the document for pages; raises `RequestError` if the run was removed."""
        if not is_run(self.directory.store):
            raise not_found(f"run {self.id!r} any more", "its directory was removed")
        beats = read_heartbeats(self.directory.store)
        trainer = [beat.fields for beat in beats if beat.role == "trainer" and beat.alive]
        update = self.directory.checkpoints.latest()
        matches = next((one["matches"] for one in trainer if "matches" in one), None)
        if matches is None and update is not None:
            cursor = self.directory.checkpoints.metadata(update).get("cursor", {})
            matches = cursor.get("matches")
        return {
            "run": self.id,
            "title": self.title,
            "game": game,
            "update": update,
            "matches": matches,
            "alive": any(beat.alive for beat in beats),
            "problem": "",
        }


def unreadable_run(id: str, problem: str) -> dict[str, Any]:
    """Returns the document of a run that cannot be read; `problem` says why."""
    known = dict.fromkeys(("game", "update", "matches"))
    return {"run": id, "title": id, **known, "alive": False, "problem": problem}


class ServedGame:
    """A game and the agents that play it."""

    def __init__(self, id: str, game: Game[Any], runs: Sequence[ServedRun] = ()) -> None:
        """Takes the rules and the runs of this game."""
        self.id = id
        self.game = game
        self.runs = list(runs)
        self.lines = Lines(game)
        self.engines: list[EngineServed] = []
        self._lock = threading.Lock()
        self._plain: dict[str, ServedAgent] = {}
        self._programs: SearchPrograms | None = None

    def agent_list(self) -> list[dict[str, Any]]:
        """Returns the documents of the agents for pages, the strongest first, as a guess.

        Older checkpoints come last. It loads no checkpoint.
        """
        found, older = [], []
        for run in self.runs:
            with contextlib.suppress(SelfplayError):  # The run is gone.
                checkpoints = run.agents.to_dicts()
                found += checkpoints[:1]
                older += checkpoints[1:]
        others: list[ServedAgent] = [*self.engines]
        if self._solver_knows_the_start:
            others.append(self.agent("solver"))
        for name in ("mcts:1024", f"mcts:{PLAIN_SIMULATIONS}", "mcts:32", "random"):
            others.append(self.agent(name))
        return [*found, *(agent.to_dict() for agent in others), *older]

    @functools.cached_property
    def _solver_knows_the_start(self) -> bool:
        """Whether the solver can play whole matches; otherwise it is not listed."""
        solved = type(self.game).solve is not Game.solve
        return solved and SolverAgent(self.game).knows_the_start

    def agent(self, id: str | None) -> ServedAgent:
        """Returns an agent by its identifier, the default one if `id` is None. May read files.

        Raises:
            RequestError: there is none of that name (404).
            CheckpointError: the checkpoint was removed meanwhile, or is damaged.
        """
        if id is None:
            id = default_agent(self.runs)
        for run in self.runs:
            if id == run.id:
                return run.agent()
            update = re.fullmatch(rf"{re.escape(run.id)}@([0-9]{{1,12}})", id)
            if update is not None:
                return run.agent(int(update[1]))
        for engine in self.engines:
            if id == engine.id:
                return engine
        with self._lock:
            if id not in self._plain:
                self._plain[id] = self._make_plain(id)
            return self._plain[id]

    def _make_plain(self, id: str) -> ServedAgent:
        if id == "random":
            return PlainServed(RandomAgent(self.game, batch_size=1), id, "random")
        if id == "solver" and type(self.game).solve is not Game.solve:
            return PlainServed(SolverAgent(self.game), id, "solver")
        number = re.fullmatch(r"mcts:([0-9]{1,6})", id)
        if number is not None:
            simulations = int(number[1])
            if not 2 <= simulations <= BUDGETS[-1]:
                raise RequestError(
                    f"mcts has {simulations} simulations, but must have from 2 to {BUDGETS[-1]}",
                    place="agent",
                )
            if self._programs is None:
                template = mcts_agent(self.game, PLAIN_SIMULATIONS, batch_size=1)
                self._programs = SearchPrograms(template)
            return SearchServed(self._programs, None, id, id, "mcts", simulations=simulations)
        raise not_found(f"agent {id!r} of {self.id}", f"/api/v1/games/{self.id}/agents lists them")


def can_have(runs: Sequence[ServedRun], agent: str) -> bool:
    """Returns whether a game with these runs may have such an agent; reads no files."""
    run = agent.partition("@")[0]
    return any(run == one.id for one in runs) or agent.startswith("mcts:")


def default_agent(runs: Sequence[ServedRun]) -> str:
    """Returns the default agent: the newest checkpoint, or tree search if there is none."""
    for run in runs:
        if run.directory.checkpoints.latest() is not None:
            return run.id
    return f"mcts:{PLAIN_SIMULATIONS}"
