"""What is served: runs, the games they are of, and who can play them."""

import contextlib
import dataclasses
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfplay.adapters import PythonChanceGame, PythonGame
from selfplay.arena import EngineAgent, parse_engine
from selfplay.errors import SelfplayError
from selfplay.game import ChanceGame, Game
from selfplay.registry import GameSpec
from selfplay.run import RunDirectory, is_run
from selfplay.serve.agents import (
    EngineServed,
)
from selfplay.serve.errors import not_found
from selfplay.serve.served import ServedGame, ServedRun, default_agent

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
        self._rules: dict[str, Game[Any] | PythonGame[Any]] = {}
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
            what = "game yet" if id is None else f"game {id!r}"
            raise not_found(what, "/api/v1/games lists them")
        runs = [run for run in self.runs() if self.game_of(run) == id]
        with self._lock:
            if id not in self._games:
                game = runs[0].game if runs else self._specs[id].make()
                self._games[id] = ServedGame(id, game)
                if not isinstance(game, ChanceGame):
                    self._games[id].engines = [
                        _engine(game, number, text) for number, text in enumerate(self._engines)
                    ]
            found = self._games[id]
            found.runs = runs
            return found

    def close(self) -> None:
        """Ends the engines."""
        for served in self._games.values():
            for engine in served.engines:
                engine.close()

    def describe_game(self, id: str) -> dict[str, Any]:
        """Returns what a page is told of a game; quick, because the rules are not looked at."""
        if id not in self.game_names():
            raise not_found(f"game {id!r}", "/api/v1/games lists them")
        runs = [run for run in self.runs() if self.game_of(run) == id]
        rules = self._written(id, runs)
        warning = (
            "the rules hide something from a player, which the search sees all the same"
            if rules.hidden_information
            else ""
        )
        kind = type(rules)
        return {
            "game": id,
            "name": rules.name,
            "title": id.replace("_", " ").capitalize(),
            "num_actions": rules.num_actions,
            "max_plies": rules.max_plies,
            "chance": isinstance(rules, ChanceGame | PythonChanceGame),
            "board": kind.board not in (Game.board, PythonGame.board),
            "hidden_information": warning,
            "limits": {**dataclasses.asdict(self.limits), "moves": rules.max_plies},
            "default_agent": default_agent(runs),
            "run": runs[0].id if runs else None,
            "docs": None,
        }

    def _written(self, id: str, runs: Sequence[ServedRun]) -> Game[Any] | PythonGame[Any]:
        """Returns a game as its author wrote it."""
        spec = runs[0].directory.game_spec if runs else self._specs[id]
        with self._lock:
            if id not in self._rules:
                try:
                    self._rules[id] = spec.rules()
                except SelfplayError:
                    # Its file has moved: a run knows where to look.
                    self._rules[id] = self.game(id).game
            return self._rules[id]

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


def _engine(game: Game[Any], number: int, text: str) -> EngineServed:
    spec = parse_engine(text)
    title = f"{Path(spec.command[0]).name} ({spec.protocol.upper()})"
    return EngineServed(EngineAgent(game, spec), f"engine:{number}", title)
