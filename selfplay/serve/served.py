"""One run, and one game with everybody who can play it, as they are served."""

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

PLAIN_SIMULATIONS = 200
"""Simulations of the opponent of a game without a run."""


class ServedRun:
    """A run, and its checkpoints as agents."""

    def __init__(self, id: str, run: RunDirectory) -> None:
        """Takes a run under an identifier."""
        self.id = id
        self.title = id
        self.directory = run
        self._lock = threading.Lock()
        self._game: Game[Any] | None = None
        self._agents: RunAgents | None = None

    def make_game(self) -> Game[Any]:
        """Returns its rules, made when they are first asked for.

        Raises:
            RunError: their file has moved, or they have changed.
        """
        with self._lock:
            if self._game is None:
                self._game = self.directory.make_game()
            return self._game

    @property
    def agents(self) -> RunAgents:
        """Its checkpoints."""
        game = self.make_game()
        with self._lock:
            if self._agents is None:
                self._agents = RunAgents(self.id, self.title, self.directory, game)
            return self._agents

    def to_dict(self, game: str) -> dict[str, Any]:
        """Returns what a page is told; raises `RunError` if the run was removed."""
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
    """Returns what a page is told of a run that cannot be read: as of others, and why."""
    known = dict.fromkeys(("game", "update", "matches"))
    return {"run": id, "title": id, **known, "alive": False, "problem": problem}


class ServedGame:
    """A game, and everybody who can play it."""

    def __init__(self, id: str, game: Game[Any], runs: Sequence[ServedRun] = ()) -> None:
        """Takes the rules, and the runs that have them."""
        self.id = id
        self.game = game
        self.runs = list(runs)
        self.lines = Lines(game)
        self.engines: list[EngineServed] = []
        self._lock = threading.Lock()
        self._plain: dict[str, ServedAgent] = {}
        self._programs: SearchPrograms | None = None

    def agent_list(self) -> list[ServedAgent]:
        """Returns who can be asked, the strongest guess first."""
        found: list[ServedAgent] = []
        for run in self.runs:
            try:
                found.append(run.agents.get())
            except SelfplayError:
                continue  # No checkpoint yet, or the run is gone.
        found += self.engines
        if self._solver_knows_the_start:
            found.append(self.agent("solver"))
        found += [self.agent("mcts:1024"), self.agent(f"mcts:{PLAIN_SIMULATIONS}")]
        return [*found, self.agent("mcts:32"), self.agent("random")]

    @functools.cached_property
    def _solver_knows_the_start(self) -> bool:
        """Whether it can play whole matches; it can be asked by name where it cannot."""
        solved = type(self.game).solve is not Game.solve
        return solved and SolverAgent(self.game).knows_the_start

    def agent(self, id: str | None) -> ServedAgent:
        """Returns an agent by its identifier; the default without one. May read files.

        Raises:
            RequestError: there is none of that name (404).
            CheckpointError: the checkpoint was removed meanwhile, or is damaged.
        """
        if id is None:
            id = default_agent(self.runs)
        for run in self.runs:
            if id == run.id:
                return run.agents.get()
            update = re.fullmatch(rf"{re.escape(run.id)}@([0-9]{{1,12}})", id)
            if update is not None:
                return run.agents.get(int(update[1]))
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
    """Returns whether such an agent may be one of a game with these runs; looks at no file."""
    run = agent.partition("@")[0]
    return any(run == one.id for one in runs) or agent.startswith("mcts:")


def default_agent(runs: Sequence[ServedRun]) -> str:
    """Returns who is asked where nobody is named: the newest checkpoint, if there is one."""
    for run in runs:
        if run.directory.checkpoints.latest() is not None:
            return run.id
    return f"mcts:{PLAIN_SIMULATIONS}"
