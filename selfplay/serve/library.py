"""What is served: runs, the games they are of, and who can play them."""

import contextlib
import dataclasses
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfplay.arena import EngineAgent, RandomAgent, SolverAgent, mcts_agent, parse_engine
from selfplay.errors import SelfplayError
from selfplay.game import ChanceGame, Game
from selfplay.registry import GameSpec, fingerprint
from selfplay.run import RunDirectory, is_run, read_heartbeats
from selfplay.serve.agents import (
    BUDGETS,
    EngineServed,
    PlainServed,
    RunAgents,
    SearchPrograms,
    SearchServed,
    ServedAgent,
)
from selfplay.serve.errors import RequestError, not_found
from selfplay.serve.lines import Lines

PLAIN_SIMULATIONS = 200
"""Simulations of the opponent of a game without a run."""

_RESCAN_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may ask for.

    Attributes:
        simulations: of a search.
        milliseconds: of a search.
    """

    simulations: int = 4096
    milliseconds: int = 30_000

    def to_dict(self, game: Game[Any]) -> dict[str, int]:
        """Returns what a page is told."""
        return {**dataclasses.asdict(self), "moves": game.max_plies}


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

    @property
    def game(self) -> Game[Any]:
        """Its rules, made when they are first needed."""
        with self._lock:
            if self._game is None:
                self._game = self.directory.make_game()
            return self._game

    @property
    def agents(self) -> RunAgents:
        """Its checkpoints."""
        game = self.game
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
        }


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
        if type(self.game).solve is not Game.solve:
            found.append(self.agent("solver"))
        found += [self.agent("mcts:1024"), self.agent(f"mcts:{PLAIN_SIMULATIONS}")]
        return [*found, self.agent("mcts:32"), self.agent("random")]

    def default_agent(self) -> str:
        """Returns who is asked where nobody is named."""
        for run in self.runs:
            if run.agents.newest_update() is not None:
                return run.id
        return f"mcts:{PLAIN_SIMULATIONS}"

    def can_have(self, id: str) -> bool:
        """Returns whether such an agent may be one of this game; looks at no file."""
        run = id.partition("@")[0]
        return any(run == one.id for one in self.runs) or id.startswith("mcts:")

    def agent(self, id: str | None) -> ServedAgent:
        """Returns an agent by its identifier; the default without one. May read files.

        Raises:
            RequestError: there is none of that name (404).
            CheckpointError: the checkpoint was removed meanwhile, or is damaged.
        """
        if id is None:
            id = self.default_agent()
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


class Library:
    """The games and runs of one server. Everything is found by name: no request names a path."""

    def __init__(
        self,
        *,
        games: Sequence[tuple[str, GameSpec]] = (),
        runs: Sequence[str] = (),
        awaited: Sequence[str] = (),
        folder: Path | None = None,
        engines: Sequence[str] = (),
        limits: Limits | None = None,
    ) -> None:
        """Takes what the owner of the server named.

        Args:
            games: names and specifications of games that are served without a run.
            runs: places of runs.
            awaited: places where there may be a run later.
            folder: whose runs are served, those that come later too.
            engines: "gtp:COMMAND" or "uci:COMMAND", for every game without chance.
            limits: of one request.
        """
        self.limits = limits or Limits()
        self._specs = dict(games)
        self._folder = folder
        self._awaited = list(awaited)
        self._engines = tuple(engines)
        self._lock = threading.RLock()
        self._runs: dict[str, ServedRun] = {}
        self._games: dict[str, ServedGame] = {}
        self._game_of_run: dict[str, str] = {}
        self._scanned = float("-inf")
        for place in runs:
            self._add_run(place)

    def runs(self) -> list[ServedRun]:
        """Returns the runs there are now, by name."""
        with self._lock:
            self._rescan()
            return [self._runs[id] for id in sorted(self._runs)]

    def run(self, id: str) -> ServedRun:
        """Returns a run; raises `RequestError` (404) if there is none of that name."""
        with self._lock:
            self._rescan()
            if id not in self._runs:
                raise not_found(f"run {id!r}", "/api/v1/runs lists them")
            found = self._runs[id]
        if not is_run(found.directory.store):
            raise not_found(f"run {id!r} any more", "its directory was removed")
        return found

    def game_names(self) -> list[str]:
        """Returns the identifiers of all games: of those of runs first."""
        with self._lock:
            of_runs = [self.game_of(run) for run in self.runs()]
        return list(dict.fromkeys([*of_runs, *self._specs]))

    def game_of(self, run: ServedRun) -> str:
        """Returns the identifier of a run's game; runs with the same rules share it."""
        with self._lock:
            if run.id not in self._game_of_run:
                name, rules = run.directory.game_name, run.directory.fingerprint
                for other, taken in self._game_of_run.items():
                    if other in self._runs and self._runs[other].directory.fingerprint == rules:
                        self._game_of_run[run.id] = taken
                        break
                else:
                    is_taken = name in self._game_of_run.values()
                    self._game_of_run[run.id] = f"{name} {run.id}" if is_taken else name
            return self._game_of_run[run.id]

    def game(self, id: str | None) -> ServedGame:
        """Returns a game, made when it is first asked for; the first one without a name.

        Raises:
            RequestError: there is none of that name (404).
            SelfplayError: its rules cannot be loaded.
        """
        names = self.game_names()
        if id is None and names:
            id = names[0]
        if id is None or id not in names:
            raise not_found(f"game {id!r}", "/api/v1/games lists them")
        runs = [run for run in self.runs() if self.game_of(run) == id]
        with self._lock:
            if id not in self._games:
                game = runs[0].game if runs else self._specs[id].make()
                self._games[id] = ServedGame(id, game)
                if not isinstance(game, ChanceGame):
                    self._games[id].engines = [
                        EngineServed(EngineAgent(game, parse_engine(text)), f"engine:{number}")
                        for number, text in enumerate(self._engines)
                    ]
            found = self._games[id]
            found.runs = runs
            return found

    def describe_game(self, id: str) -> dict[str, Any]:
        """Returns what a page is told of a game."""
        served = self.game(id)
        game = served.game
        warning = (
            "the rules hide something from a player, which the search sees all the same"
            if game.hidden_information
            else ""
        )
        return {
            "game": id,
            "title": id.replace("_", " ").capitalize(),
            "num_actions": game.num_actions,
            "max_plies": game.max_plies,
            "chance": isinstance(game, ChanceGame),
            "board": served.lines.has_board,
            "hidden_information": warning,
            "limits": self.limits.to_dict(game),
            "default_agent": served.default_agent(),
            "run": served.runs[0].id if served.runs else None,
            "docs": None,
            "fingerprint": fingerprint(game),
        }

    def _rescan(self) -> None:
        if time.monotonic() - self._scanned < _RESCAN_SECONDS:
            return
        self._scanned = time.monotonic()
        for place in list(self._awaited):
            with contextlib.suppress(SelfplayError):
                if is_run(place):
                    self._add_run(place)
                    self._awaited.remove(place)
        if self._folder is None:
            return
        try:
            folders = sorted(path for path in self._folder.iterdir() if is_run(path))
        except OSError:
            folders = []
        for folder in folders:
            if folder.name not in self._runs:
                self._add_run(str(folder))
        for id in set(self._runs) - {folder.name for folder in folders}:
            del self._runs[id]
            self._game_of_run.pop(id, None)

    def _add_run(self, place: str) -> None:
        try:
            run = RunDirectory.open(place)
        except SelfplayError:
            if self._folder is None:
                raise
            return  # One damaged run must not hide the others.
        name = re.split(r"[/\\]", run.url.rstrip("/"))[-1] or "run"
        self._runs[name] = ServedRun(name, run)
